"""Assignment 5."""

from tests.coursework.submissions import Submission

SUBMISSIONS = [
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
