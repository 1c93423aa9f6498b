"""One-day forecasts over the whole protocol: classical models, flows, and what is made of both."""
