"""Fits the members of an ensemble, each to arrays that `lab.detect.ensemble` scores with numpy alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from lab.errors import NotReady

Coder = Literal["mlp", "torch"]
"""What an autoencoder is trained with: scikit-learn's MLP, or PyTorch. Its arrays are the same."""

_TREES: Final = 60
_AXES: Final = 30
"""Directions in which a mixture looks at most: those in which benign rows vary most."""

_PARTS: Final = 16
_ROWS_OF_A_PART: Final = 200
_MIXED: Final = 20_000
"""Benign rows that a mixture is fitted on at most."""

_LAYERS: Final = (64, 16, 64)
"""Units of an autoencoder's hidden layers."""

_EPOCHS: Final = 12
_STEP: Final = 2e-3
_BATCH: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What a member is fitted on."""

    inputs: Any
    """Encoded rows."""

    attack: Any
    """Whether each is one."""

    weights: Any
    """How much each counts."""

    @property
    def benign(self) -> Any:  # noqa: ANN401  # numpy's
        """The inputs of the benign ones."""
        return self.inputs[~self.attack]


def forest(rows: Rows, seed: int) -> Mapping[str, Any]:
    """Fit extremely randomised trees (Geurts et al. 2006)."""
    import numpy as np
    from sklearn.ensemble import ExtraTreesClassifier

    fitted = ExtraTreesClassifier(_TREES, min_samples_leaf=2, max_features=0.3, n_jobs=-1, random_state=seed)
    fitted.fit(rows.inputs, rows.attack, sample_weight=rows.weights)
    trees = [it.tree_ for it in fitted.estimators_]
    starts = np.cumsum([0, *(it.node_count for it in trees)])[:-1]

    def joined(name: str) -> Any:  # noqa: ANN401
        moved = (
            np.where(getattr(it, name) < 0, -1, getattr(it, name) + at)
            for it, at in zip(trees, starts, strict=True)
        )
        return np.concatenate(list(moved)).astype(np.int32)

    shares = [it.value[:, 0, 1] / it.value[:, 0, :].sum(axis=1) for it in trees]
    return {
        "forest_left": joined("children_left"),
        "forest_right": joined("children_right"),
        "forest_feature": np.concatenate([it.feature for it in trees]).astype(np.int32),
        "forest_cut": np.concatenate([it.threshold for it in trees]),
        "forest_value": np.concatenate(shares),
        "forest_roots": starts.astype(np.int32),
    }


def linear(rows: Rows, seed: int) -> Mapping[str, Any]:
    """Fit a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=500, tol=1e-3, random_state=seed)
    fitted.fit(rows.inputs, rows.attack, sample_weight=rows.weights)
    return {"linear_weights": fitted.coef_[0].astype("float64"), "linear_bias": fitted.intercept_}


def mixture(rows: Rows, seed: int) -> Mapping[str, Any]:
    """Fit a mixture of Gaussians to benign rows alone."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    benign = rows.benign.astype("float64")
    axes = PCA(min(_AXES, *benign.shape), random_state=seed).fit(benign)
    parts = max(1, min(_PARTS, len(benign) // _ROWS_OF_A_PART))
    fitted = GaussianMixture(parts, reg_covar=1e-3, max_iter=50, random_state=seed)
    fitted.fit(axes.transform(benign)[:_MIXED])
    return {
        "mixture_centre": axes.mean_,
        "mixture_axes": axes.components_,
        "mixture_means": fitted.means_,
        "mixture_factors": fitted.precisions_cholesky_,
        "mixture_weights": fitted.weights_,
    }


def autoencoder(rows: Rows, seed: int) -> Mapping[str, Any]:
    """Teach a network to draw benign rows again, through a layer that is too small for all else."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    fitted = MLPRegressor(
        hidden_layer_sizes=_LAYERS,
        learning_rate_init=_STEP,
        max_iter=_EPOCHS,
        batch_size=min(_BATCH, len(rows.benign)),
        random_state=seed,
    )
    with warnings.catch_warnings(
        action="ignore", category=ConvergenceWarning
    ):  # it has so long and no longer
        fitted.fit(rows.benign, rows.benign)
    return _layered(list(zip(fitted.coefs_, fitted.intercepts_, strict=True)))


def torch_autoencoder(rows: Rows, seed: int) -> Mapping[str, Any]:
    """Teach the same network with PyTorch, which the extra `deep` brings; to score it needs none of that.

    Raises:
        NotReady: PyTorch is not installed.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise NotReady(
            "PyTorch is not installed", remedy="pip install 'homerange[deep]'  brings it"
        ) from error
    torch.manual_seed(seed)
    benign = torch.from_numpy(rows.benign)
    sizes = (benign.shape[1], *_LAYERS, benign.shape[1])
    layers = [torch.nn.Linear(first, second) for first, second in pairwise(sizes)]
    parts = [part for layer in layers[:-1] for part in (layer, torch.nn.ReLU())]
    network = torch.nn.Sequential(*parts, layers[-1])
    steps = torch.optim.Adam(network.parameters(), lr=_STEP)
    for _ in range(_EPOCHS):
        for some in torch.randperm(len(benign)).split(_BATCH):
            steps.zero_grad()
            ((network(benign[some]) - benign[some]) ** 2).mean().backward()
            steps.step()
    return _layered([(it.weight.detach().numpy().T, it.bias.detach().numpy()) for it in layers])


def _layered(layers: list[tuple[Any, Any]]) -> dict[str, Any]:
    """Name the weights and the biases of a network's layers."""
    return {
        f"autoencoder_{what}_{at}": it
        for at, layer in enumerate(layers)
        for what, it in zip(("weights", "bias"), layer, strict=True)
    }


FITS: Final[Mapping[str, Callable[[Rows, int], Mapping[str, Any]]]] = {
    "forest": forest,
    "linear": linear,
    "mixture": mixture,
    "autoencoder": autoencoder,
}
"""What fits each member."""

CODERS: Final[Mapping[Coder, Callable[[Rows, int], Mapping[str, Any]]]] = {
    "mlp": autoencoder,
    "torch": torch_autoencoder,
}
"""What an autoencoder can be trained with."""
