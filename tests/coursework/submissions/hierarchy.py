"""Assignment 5."""

from tests.coursework.submissions import Submission

SUBMISSIONS = [
    Submission(
        "right, by formulas and loops",
        {
            "levels": """
def kl_by_level(posteriors, priors):
    columns = []
    for q, p in zip(posteriors, priors):
        ratio = (q.scale / p.scale) ** 2
        each = 0.5 * (ratio + ((q.loc - p.loc) / p.scale) ** 2 - 1 - ratio.log())
        columns.append(each.reshape(len(each), -1).sum(1))
    return torch.stack(columns).T
""",
            "free": """
def free_bits(kl, floor):
    return sum(torch.relu(column.mean() - floor) + floor for column in kl.T)
""",
            "merge": """
def merge(mean_1, scale_1, mean_2, scale_2):
    gain = scale_2**2 / (scale_1**2 + scale_2**2)
    return mean_1 * gain + mean_2 * (1 - gain), scale_1 * gain.sqrt()
""",
            "scenarios": """
def scenarios(prior, decoder, n):
    law = decoder(prior.expand((n, *prior.batch_shape)).rsample())
    return law.mean + law.stddev * torch.randn_like(law.mean)
""",
            "share": """
def share_explained(s):
    rows, draws = s.shape
    within = ((s - s.mean(1, keepdim=True)) ** 2).sum() / (rows * (draws - 1))
    means = s.mean(1)
    between = ((means - means.mean()) ** 2).sum() / (rows - 1) - within / draws
    return between / (between + within)
""",
        },
    ),
    Submission(
        "averages for sums, floors for each row, adds variances, draws means, forgets the bias",
        {
            "levels": """
def kl_by_level(posteriors, priors):
    terms = [kl_divergence(q, p).flatten(1).mean(dim=1) for q, p in zip(posteriors, priors)]
    return torch.stack(terms, dim=1)
""",
            "free": """
def free_bits(kl, floor):
    return kl.clamp(min=floor).mean(dim=0).sum()
""",
            "merge": """
def merge(mean_1, scale_1, mean_2, scale_2):
    w_1, w_2 = scale_1**-2, scale_2**-2
    return (w_1 * mean_1 + w_2 * mean_2) / (w_1 + w_2), (scale_1**2 + scale_2**2).sqrt()
""",
            "scenarios": """
def scenarios(prior, decoder, n):
    return decoder(prior.sample((n,))).mean
""",
            "share": """
def share_explained(s):
    within = s.var(dim=1).mean()
    between = s.mean(dim=1).var()
    return between / (between + within)
""",
        },
        loses={"levels-sum", "free-value", "free-gradient", "merge-product", "merge-limits",
               "scenarios-variance", "scenarios-tails", "share-bias"},
    ),
]  # fmt: skip
