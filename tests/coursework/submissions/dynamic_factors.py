"""Assignment 6."""

from tests.coursework.submissions import Submission

SUBMISSIONS = [
    Submission(
        "right, with other libraries",
        {
            "recurrence": """
class Recurrent(nn.Module):
    def __init__(self, series, factors, hidden=8):
        super().__init__()
        self.cell = nn.GRUCell(series + factors, hidden)
        self.prior = nn.Linear(hidden, factors)
        self.encoder = nn.Linear(hidden + series, factors)

    def step(self, x, h):
        before = self.prior(h)
        after = self.encoder(torch.hstack([h, x]))
        return before, after, self.cell(torch.hstack([x, after]), h)

    def prior_means(self, x):
        found = torch.empty(*x.shape[:2], self.prior.out_features, dtype=x.dtype)
        h = torch.zeros(x.shape[0], self.prior.in_features, dtype=x.dtype)
        for t in range(x.shape[1]):
            found[:, t], _, h = self.step(x[:, t], h)
        return found
""",
            "kl": """
def kl(mean_q, log_scale_q, mean_p, log_scale_p):
    q, p = Normal(mean_q, log_scale_q.exp()), Normal(mean_p, log_scale_p.exp())
    return torch.distributions.kl_divergence(q, p).sum(-1)
""",
            "gaps": """
def masked_log_prob(decoder, x, observed):
    return torch.where(observed, decoder.log_prob(torch.nan_to_num(x)), 0.0).sum(dim=1)
""",
            "portfolio": """
def covariance(loadings, factor_scales, noise_scales):
    law = torch.distributions.LowRankMultivariateNormal(
        torch.zeros_like(noise_scales), loadings * factor_scales, noise_scales**2
    )
    return law.covariance_matrix

def minimum_variance(matrix):
    root = torch.linalg.cholesky(matrix)
    weights = torch.cholesky_solve(torch.ones(len(matrix), 1, dtype=matrix.dtype), root)[:, 0]
    return weights / weights.sum()
""",
            "align": """
from scipy.linalg import orthogonal_procrustes

def align(current, reference):
    turn, _ = orthogonal_procrustes(current.numpy(), reference.numpy())
    return current @ torch.as_tensor(turn)
""",
        },
    ),
    Submission(
        "lets the prior see today, a negative KL, zeroes NaN afterwards, scales for variances, "
        "aligns by least squares",
        {
            "recurrence": """
class Recurrent(nn.Module):
    def __init__(self, series, factors, hidden=8):
        super().__init__()
        self.cell = nn.GRUCell(series + factors, hidden)
        self.prior = nn.Linear(hidden, factors)
        self.encoder = nn.Linear(hidden + series, factors)

    def step(self, x, h):
        z = self.encoder(torch.cat((h, x), dim=1))
        h = self.cell(torch.cat((x, z), dim=1), h)
        return self.prior(h), z, h

    def prior_means(self, x):
        h, means = x.new_zeros(len(x), 8), []
        for t in range(x.shape[1]):
            mean, z, h = self.step(x[:, t], h)
            means.append(mean)
        return torch.stack(means, dim=1)
""",
            "kl": """
def kl(mean_q, log_scale_q, mean_p, log_scale_p):
    v_q, v_p = (2 * log_scale_q).exp(), (2 * log_scale_p).exp()
    terms = log_scale_p - log_scale_q + (v_q + (mean_q - mean_p) ** 2) / v_p - 1
    return 0.5 * terms.sum(dim=-1)
""",
            "gaps": """
def masked_log_prob(decoder, x, observed):
    return torch.where(observed, decoder.log_prob(x), 0.0).sum(dim=1)
""",
            "portfolio": """
def covariance(loadings, factor_scales, noise_scales):
    return loadings @ torch.diag(factor_scales) @ loadings.T + torch.diag(noise_scales)

def minimum_variance(matrix):
    weights = 1 / matrix.diagonal()
    return weights / weights.sum()
""",
            "align": """
def align(current, reference):
    return current @ torch.linalg.lstsq(current, reference).solution
""",
        },
        loses={"recurrence-no-leak", "kl-exact", "kl-minimum", "gaps-gradient",
               "portfolio-covariance", "portfolio-least", "align-law"},
    ),
]  # fmt: skip
