"""A prior that knows where the latents are: fitted to the posteriors of the data."""

import torch
from sklearn.mixture import GaussianMixture as ByEM
from torch import Tensor

from genfin_lib.distributions import GaussianMixture, fixed_seed
from genfin_lib.latent.vae import VAE


@torch.no_grad()
def fit_prior(
    model: VAE, x: Tensor, *, components: int = 20, draws: int = 4, floor: float = 0.05, seed: int
) -> GaussianMixture:
    r"""Replace the prior of a trained VAE by a mixture fitted to its aggregate posterior.

    .. math:: \max_p \; \frac1N \sum_n \mathrm{E}_{q(z|x_n)} \log p(z)

    is the only part of the ELBO in which the prior occurs. Encoder and decoder stay, so the best
    prior for them is the *aggregate posterior* :math:`\frac1N \sum_n q(z \mid x_n)`; draws from it
    are data, and a Gaussian mixture is fitted to them by EM. What is sampled from then is where the
    decoder was trained. With a component for every window it would recite the data: keep K small.

    M. D. Hoffman and M. J. Johnson (2016), ELBO surgery,
    https://approximateinference.org/accepted/HoffmanJohnson2016.pdf; J. M. Tomczak and M. Welling
    (2018), https://proceedings.mlr.press/v84/tomczak18a.html. Chapter: TimeVAE.

    Args:
        model: A VAE without a flow; its prior is replaced, nothing else.
        x: The training data, ``(N, *features)``.
        components: K.
        draws: Latents drawn from the posterior of each example.
        floor: Least standard deviation of a component given the latents before.
        seed: Of the draws and of EM's start.

    Returns:
        The new prior, which is ``model.prior``.

    Raises:
        ValueError: If there is a flow, or fewer examples than two for each component.
    """
    if model.flow is not None:
        raise ValueError("the posterior of this VAE is a flow; only Gaussian ones are fitted")
    if len(x) < 2 * components:
        raise ValueError(f"{len(x)} examples for {components} components: two for each are needed")
    with fixed_seed(seed):
        z = model.posterior(x).sample((draws,)).flatten(0, 1)  # (draws * N, M)
    fitted = ByEM(components, reg_covar=floor**2, random_state=seed, max_iter=200).fit(z.numpy())
    factors = torch.linalg.cholesky(torch.tensor(fitted.covariances_)).to(z)
    means, scales = torch.tensor(fitted.means_).to(z), factors.diagonal(dim1=1, dim2=2)
    prior = GaussianMixture(
        model.latents, components, means=means, scales=scales.clamp(min=1.01 * floor), floor=floor
    )
    prior.logits.copy_(torch.tensor(fitted.weights_).log())
    prior.lower.copy_(factors.tril(-1))
    model.prior = prior.requires_grad_(False)
    return prior
