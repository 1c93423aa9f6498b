"""Assignment 3."""

from tests.coursework.submissions import Submission

ACTNORM = """
class ActNorm(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.b = nn.Parameter(torch.zeros(features))
        self.s = nn.Parameter(torch.zeros(features))
        {flag}

    def _set(self, x):
        with torch.no_grad():
            self.s.copy_(-x.std(0, correction={correction}).log())
            self.b.copy_({shift})
        self.ready = {true}

    def forward(self, x):
        if not self.ready{when}:
            {check}
            self._set(x)
        return {forward}, {log_det}

    def inverse(self, z):
        return {inverse}, {inverse_log_det}
"""
WRONG = {
    "flag": "self.ready = False",
    "true": "True",
    "correction": "1",
    "shift": "-x.mean(0)",
    "when": "",
    "check": "pass",
    "forward": "x * self.s.exp() + self.b",
    "inverse": "(z - self.b) * (-self.s).exp()",
    "log_det": "self.s.sum()",
    "inverse_log_det": "-self.s.sum()",
}
RIGHT = {
    "flag": "self.register_buffer('ready', torch.zeros(()).bool())",
    "true": "torch.ones_like(self.ready)",
    "correction": "0",
    "shift": "x.mean(0)",
    "when": " and self.training",
    "check": "if x.shape[0] == 1: raise ValueError('one row has no standard deviation')",
    "forward": "(x - self.b) * self.s.exp()",
    "inverse": "z / self.s.exp() + self.b",
    "log_det": "self.s.sum().repeat(x.shape[0])",
    "inverse_log_det": "-self.s.sum().repeat(z.shape[0])",
}

SUBMISSIONS = [
    Submission(
        "right, with other names, a loop and an explicit Jacobian of the temperature",
        {
            "actnorm": ACTNORM.format(**RIGHT),
            "mixing": """
class Mixing(nn.Module):
    def __init__(self, rotation):
        super().__init__()
        self.permutation, lower, upper = torch.linalg.lu(rotation)
        self.signs = upper.diagonal().sign()
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log())
        self.below = nn.Parameter(lower)
        self.above = nn.Parameter(upper)

    def weight(self):
        lower = self.below.tril(-1) + torch.eye(len(self.signs)).to(self.below)
        upper = self.above.triu(1) + (self.signs * self.log_diagonal.exp()).diag()
        return self.permutation @ lower @ upper

    def forward(self, x):
        return x @ self.weight().T, self.log_diagonal.sum().repeat(x.shape[0])
""",
            "splits": """
def split_sizes(features, levels):
    if features < levels:
        raise ValueError("too many levels")
    result, level = [], 1
    while level < levels:
        on = features - features // 2
        result.append((features, features - on))
        features, level = on, level + 1
    result.append((features, features))
    return result
""",
            "temperature": """
def tempered_log_prob(layer, x, temperature):
    z, log_det = layer(x)
    law = torch.distributions.Normal(0.0, temperature)
    return law.log_prob(z).sum(1) + log_det
""",
        },
    ),
    Submission(
        "ActNorm with a wrong bias, a plain flag and one log-determinant; a rotation whose scales "
        "are lost; splits of n // 2; a threshold out of the air; a temperature without Jacobian",
        {
            "actnorm": ACTNORM.format(**WRONG),
            "mixing": """
class Mixing(nn.Module):
    def __init__(self, rotation):
        super().__init__()
        p, lower, upper = torch.linalg.lu(rotation)
        self.register_buffer("p", p)
        self.d = nn.Parameter(torch.zeros(len(rotation)))
        self.lower = nn.Parameter(lower.tril(-1))
        self.upper = nn.Parameter(upper.triu(1))

    def weight(self):
        eye = torch.eye(len(self.d), dtype=self.d.dtype)
        return self.p @ (self.lower.tril(-1) + eye) @ (self.upper.triu(1) + self.d.exp().diag())

    def forward(self, x):
        return x @ self.weight(), self.d.sum()
""",
            "splits": """
def split_sizes(features, levels):
    sizes = []
    for _ in range(levels - 1):
        sizes.append((features, features // 2))
        features = features // 2
    return [*sizes, (features, features)]
""",
            "alarm": "def threshold(validation, share):\n    return torch.tensor(-10.0)",
            "temperature": """
def tempered_log_prob(layer, x, temperature):
    z, log_det = layer(x)
    return -0.5 * ((z / temperature) ** 2 + math.log(2 * math.pi)).sum(1) + log_det
""",
        },
        loses={"actnorm-first-batch", "actnorm-log-det", "actnorm-state", "mixing-start",
               "mixing-jacobian", "splits-odd", "alarm-rank", "alarm-promise",
               "temperature-gaussian", "temperature-normalised"},
    ),
]  # fmt: skip
