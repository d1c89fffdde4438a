"""Scores records of published data sets by several unlike models at once; numpy alone, nothing is ever run.

Each member's score becomes a p-value among benign rows that no member was fitted on; the sum of their
logarithms is the record's score. So a member that says nothing costs little, and one that is sure is heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lab.errors import WrongInput

if TYPE_CHECKING:
    from lab.detect.description import Description

_FAR: Final = 5.0
"""Standard deviations at which an input is cut off: one wild value must not decide alone."""

_CALIBRATION: Final = "_benign"
"""How the array of a member's benign scores ends."""


class Encoder:
    """Turns rows into the inputs of the members, by what was learnt from the rows they were fitted on."""

    def __init__(self, inputs: Sequence[str], arrays: Mapping[str, Any]) -> None:
        """Take what was learnt.

        Args:
            inputs: A column's name for a number, `column=word` for a word.
            arrays: `middle`, `scale` and `logarithm`, one number for each input that is a number.
        """
        self._numbers = [it for it in inputs if "=" not in it]
        self._words = [tuple(it.split("=", 1)) for it in inputs if "=" in it]
        self._arrays = arrays

    def encode(self, columns: Sequence[str], numbers: Any, words: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Return rows of inputs.

        Args:
            columns: The names of the columns of numbers.
            numbers: Rows by columns.
            words: Columns of words.

        Raises:
            WrongInput: a column that is wanted is not there.
        """
        import numpy as np

        missing = [it for it in self._numbers if it not in columns]
        missing += sorted({name for name, _ in self._words} - words.keys())
        if missing:
            raise WrongInput(f"the model wants columns that are not there: {', '.join(missing)}")
        chosen = numbers[:, [columns.index(it) for it in self._numbers]]
        plain = bent(chosen, self._arrays["logarithm"])
        plain = np.clip((plain - self._arrays["middle"]) / self._arrays["scale"], -_FAR, _FAR)
        told = [(words[name] == word)[:, None] for name, word in self._words]
        return np.hstack([plain, *told]).astype(np.float32)


def bent(numbers: Any, logarithm: Any) -> Any:  # noqa: ANN401  # numpy's
    """Return numbers with the logarithm taken of those columns whose values span many sizes."""
    import numpy as np

    return np.where(logarithm > 0, np.sign(numbers) * np.log1p(np.abs(numbers)), numbers)


def forest(rows: Any, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the share of trees that call a row an attack."""
    import numpy as np

    left, right = arrays["forest_left"], arrays["forest_right"]
    feature, cut = arrays["forest_feature"], arrays["forest_cut"]
    total = np.zeros(len(rows))
    roots = arrays["forest_roots"]
    every = np.arange(len(rows))
    for root in roots:
        at = np.full(len(rows), root)
        going = every
        while len(going):
            here = at[going]
            inner = left[here] >= 0
            going, here = going[inner], here[inner]
            at[going] = np.where(rows[going, feature[here]] <= cut[here], left[here], right[here])
        total += arrays["forest_value"][at]
    return total / len(roots)


def linear(rows: Any, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return the log-odds of a logistic regression."""
    return rows @ arrays["linear_weights"] + arrays["linear_bias"][0]


def mixture(rows: Any, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return how unlikely a row is under a mixture of Gaussians of benign ones: less its log-likelihood."""
    import numpy as np

    seen = (rows - arrays["mixture_centre"]) @ arrays["mixture_axes"].T
    parts = []
    for mean, factor, weight in zip(
        arrays["mixture_means"], arrays["mixture_factors"], arrays["mixture_weights"], strict=True
    ):
        distance = (((seen - mean) @ factor) ** 2).sum(axis=1)
        parts.append(np.log(weight) + np.log(np.diag(factor)).sum() - distance / 2)
    stacked = np.stack(parts)
    most = stacked.max(axis=0)
    constant = seen.shape[1] * np.log(2 * np.pi) / 2
    return constant - most - np.log(np.exp(stacked - most).sum(axis=0))


def autoencoder(rows: Any, arrays: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return how badly a row is drawn again by a network that learnt to draw benign ones."""
    import numpy as np

    layers = sum(name.startswith("autoencoder_weights_") for name in arrays)
    drawn = rows
    for layer in range(layers):
        drawn = drawn @ arrays[f"autoencoder_weights_{layer}"] + arrays[f"autoencoder_bias_{layer}"]
        if layer < layers - 1:
            drawn = np.maximum(drawn, 0)
    return ((drawn - rows) ** 2).sum(axis=1)


MEMBERS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "forest": forest,
    "linear": linear,
    "mixture": mixture,
    "autoencoder": autoencoder,
}
"""What can be in an ensemble, by the first part of its arrays' names."""


def _check_forest(arrays: Mapping[str, Any], inputs: int) -> None:
    """See that each tree ends, and asks for inputs that there are.

    Raises:
        ValueError: it does not.
    """
    import numpy as np

    left, right, feature = (arrays[f"forest_{it}"] for it in ("left", "right", "feature"))
    inner = np.flatnonzero(left >= 0)
    for children in (left[inner], right[inner]):
        if (children <= inner).any() or (children >= len(left)).any():
            raise ValueError("a tree that does not end")
    if (feature[inner] < 0).any() or (feature[inner] >= inputs).any():
        raise ValueError("a tree that asks for an input that there is not")


def surprise(scores: Any, benign: Any) -> Any:  # noqa: ANN401
    """Return less the logarithm of the share of benign rows that score as high; beyond all it still grows.

    Args:
        scores: Of some rows.
        benign: Of benign rows that the member was not fitted on, in ascending order.
    """
    import numpy as np

    above = len(benign) - np.searchsorted(benign, scores, side="left")
    wide = benign[-1] - benign[len(benign) // 2] or 1.0
    beyond = np.log1p(np.maximum(scores - benign[-1], 0) / wide)
    return -np.log((1 + above) / (1 + len(benign))) + beyond


class Ensemble:
    """A model of records, ready to score."""

    def __init__(self, description: Description, arrays: Mapping[str, Any]) -> None:
        """Take a model.

        Args:
            description: What it is.
            arrays: Those of the encoder and of its members.

        Raises:
            ValueError: they do not fit together.
        """
        self.description = description
        self.members = tuple(it for it in MEMBERS if it + _CALIBRATION in arrays)
        self._arrays = arrays
        self.encoder = Encoder(description.inputs, arrays)
        if not self.members or len(arrays["usual"]) != len(description.inputs):
            raise ValueError("no members, or other inputs than it names")
        if "forest" in self.members:
            _check_forest(arrays, len(description.inputs))

    def score(self, rows: Any) -> Any:  # noqa: ANN401
        """Return the scores of encoded rows."""
        return sum(
            surprise(MEMBERS[it](rows, self._arrays), self._arrays[it + _CALIBRATION]) for it in self.members
        )

    def explain(self, row: Any) -> tuple[tuple[str, float], ...]:  # noqa: ANN401
        """Say by how much the score of one encoded row falls when an input is as it mostly is in benign ones.

        Leave-one-out: what two inputs do together, neither shows alone.
        """
        import numpy as np

        usual = self._arrays["usual"]
        turned = np.repeat(row[None, :], len(row), axis=0)
        np.fill_diagonal(turned, usual)
        fall = self.score(row[None, :])[0] - self.score(turned)
        order = np.argsort(-fall)[:5]
        return tuple((self.description.inputs[at], round(float(fall[at]), 3)) for at in order if fall[at] > 0)
