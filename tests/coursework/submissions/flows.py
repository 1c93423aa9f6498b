"""Assignment 2."""

from tests.coursework.submissions import Submission

COUPLING = """
class Coupling(nn.Module):
    def __init__(self, features):
        super().__init__()
        half = features // 2
        self.network = nn.Sequential(nn.Linear(half, 16), nn.Tanh(), nn.Linear(16, 2 * half))

    def _scale_and_shift(self, kept):
        r, t = self.network(kept).chunk(2, dim=1)
        return {bound}, t

    def forward(self, x):
        half = x.shape[1] // 2
        s, t = self._scale_and_shift(x[:, :half])
        z = torch.cat((x[:, :half], x[:, half:] * s.exp() + t), dim=1)
        return z, {log_det}

    def inverse(self, z):
        half = z.shape[1] // 2
        s, t = self._scale_and_shift(z[:, :half])
        x = torch.cat((z[:, :half], (z[:, half:] - t) / s.exp()), dim=1)
        return x, {inverse}
"""
RIGHT = {"bound": "2 * torch.tanh(r / 2)", "log_det": "s.sum(1)", "inverse": "-s.sum(1)"}

SUBMISSIONS = [
    Submission(
        "right, with slices, a library's density and another integral",
        {
            "coupling": COUPLING.format(**RIGHT),
            "density": """
def log_prob(x, mean, scale, layers):
    z = (x - mean) / scale
    log_dets = [-torch.log(scale).sum() * torch.ones(len(x), dtype=x.dtype)]
    for layer in layers:
        z, found = layer(z)
        log_dets.append(found)
    base = torch.distributions.Normal(0.0, 1.0)
    return base.log_prob(z).sum(-1) + sum(log_dets)
""",
            "tails": """
def t_log_prob(x, location, scale, df):
    return torch.distributions.StudentT(df, location, scale).log_prob(x)

def exceedance(x, location, scale, df):
    from scipy import stats
    return float(stats.t.cdf(-x, df, location, scale))
""",
        },
    ),
    Submission(
        "sums log-determinants over the batch, forgets the scaler's Jacobian, clips the tails",
        {
            "coupling": COUPLING.format(**{**RIGHT, "log_det": "s.sum()", "inverse": "-s.sum()"}),
            "density": """
def log_prob(x, mean, scale, layers):
    z, total = (x - mean) / scale, 0
    for layer in layers:
        z, log_det = layer(z)
        total = total + log_det
    return total - 0.5 * (z.square() + math.log(2 * math.pi)).sum(dim=1)
""",
            "tails": """
def t_log_prob(x, location, scale, df):
    z = ((x - location) / scale).clamp(-5, 5)
    constant = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - 0.5 * math.log(math.pi * df)
    return constant - math.log(scale) - (df + 1) / 2 * torch.log1p(z.square() / df)

def exceedance(x, location, scale, df):
    y = torch.linspace(-100, -x, 100_000, dtype=torch.float64)
    return torch.trapezoid(t_log_prob(y, location, scale, df).exp(), y)
""",
        },
        loses={"coupling-shapes", "coupling-jacobian", "density-gaussian", "density-normalised",
               "tails-unclipped", "tails-exceedance"},
    ),
    Submission(
        "turns signs round, leaves scales unbounded, looks for quantiles near zero only",
        {
            "coupling": COUPLING.format(bound="r", log_det="-s.sum(1)", inverse="-s.sum(1)"),
            "quantile": """
def quantile(cdf, u):
    low, high = torch.full_like(u, -20.0), torch.full_like(u, 20.0)
    for _ in range(50):
        middle = (low + high) / 2
        low = torch.where(cdf(middle) < u, middle, low)
        high = torch.where(cdf(middle) < u, high, middle)
    return middle
""",
        },
        loses={"coupling-jacobian", "coupling-inverse", "quantile-far"},
    ),
]  # fmt: skip
