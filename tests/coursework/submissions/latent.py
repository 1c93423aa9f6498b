"""Assignment 4."""

from tests.coursework.submissions import Submission

SUBMISSIONS = [
    Submission(
        "right, with other libraries",
        {
            "kl": """
def gaussian_kl(mean_q, scale_q, mean_p, scale_p):
    q, p = torch.distributions.Normal(mean_q, scale_q), torch.distributions.Normal(mean_p, scale_p)
    return torch.distributions.kl_divergence(q, p).sum(-1)
""",
            "bounds": """
def elbo(log_weights):
    return torch.stack([w.mean() for w in log_weights])

def importance_bound(log_weights):
    top = log_weights.max(dim=1).values
    return top + (log_weights - top[:, None]).exp().mean(dim=1).log()
""",
            "filter": """
from scipy.special import logsumexp

def filtered(f, P, pi):
    log_f, log_p = np.log(f), np.log(P)
    now, rows = np.log(pi) + log_f[0], []
    for t in range(len(f)):
        if t:
            now = logsumexp(now[:, None] + log_p, axis=0) + log_f[t]
        rows.append(np.exp(now - logsumexp(now)))
    return np.stack(rows)
""",
        },
    ),
    Submission(
        "inverts and takes determinants, a negative KL, averages logarithms, old means in EM, "
        "smooths instead of filtering",
        {
            "factor": """
def factor_log_prob(x, loadings, psi):
    c = loadings @ loadings.T + np.diag(psi)
    quadratic = np.einsum("ni,ij,nj->n", x, np.linalg.inv(c), x)
    with np.errstate(all="ignore"):
        return -0.5 * (quadratic + np.log(np.linalg.det(c)) + x.shape[1] * np.log(2 * np.pi))
""",
            "kl": """
def gaussian_kl(mean_q, scale_q, mean_p, scale_p):
    ratio = ((scale_q**2 + (mean_q - mean_p) ** 2) / scale_p**2)
    return 0.5 * ((scale_p / scale_q).log() + ratio - 1).sum(-1)
""",
            "bounds": """
def elbo(log_weights):
    return log_weights.mean(dim=1)

def importance_bound(log_weights):
    return log_weights.exp().mean(dim=1).log()
""",
            "em": """
def em_step(x, weights, means, scales):
    joint = weights * stats.norm.pdf(x[:, None], means, scales)
    r = joint / joint.sum(axis=1, keepdims=True)
    total = r.sum(axis=0)
    variance = (r * (x[:, None] - means) ** 2).sum(axis=0) / len(x)
    return total / len(x), r.T @ x / total, np.sqrt(variance)

def log_likelihood(x, weights, means, scales):
    return np.log((weights * stats.norm.pdf(x[:, None], means, scales)).sum(axis=1)).sum()
""",
            "filter": """
def filtered(f, P, pi):
    n = len(f)
    forward = [pi * f[0]]
    for t in range(1, n):
        forward.append((forward[-1] @ P) * f[t])
    backward = [np.ones(len(pi))]
    for t in range(n - 1, 0, -1):
        backward.insert(0, P @ (f[t] * backward[0]))
    both = np.array(forward) * np.array(backward)
    return both / both.sum(axis=1, keepdims=True)
""",
        },
        loses={"factor-large", "kl-exact", "kl-positive", "bounds-stable", "em-one-component",
               "em-rises", "filter-no-look-ahead"},
    ),
]  # fmt: skip
