"""What a sequence transformer is made with, and how it is trained."""

from offline.models.contract import Settings
from shared.errors import InputError

PRECISIONS = ("auto", "fp32", "bf16")


class SequenceSettings(Settings, frozen=True):
    """Size, training and features. A position is one play of a history, from which the next one is predicted."""

    dim: int = 128
    layers: int = 2
    heads: int = 4
    max_length: int = 50  # newest plays of a history that are looked at
    dropout: float = 0.3
    epochs: int = 40  # at most
    patience: int = 5  # epochs without a better validation metric after which training ends
    batch_positions: int = 2048  # fewer where an epoch would have few steps
    learning_rate: float = 0.0015
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    averaging: float = 0.995  # decay a step of the moving average of the weights, which is what is kept
    whole_catalogue: int = 32_768  # the loss is over all titles where there are no more; else over so many drawn each step
    held_out_members: int = 5_000  # at most; the last play of each, a fiftieth of all plays at most, is to validate on
    use_gaps: bool = False  # tell the encoder the time between plays
    use_shares: bool = False  # tell it the weight of each play, such as the share watched
    seed: int = 7
    device: str = "cpu"  # cpu, cuda, or auto
    precision: str = "auto"  # of the loss' products: fp32, bf16, or auto: bf16 where the processor has it

    def __post_init__(self) -> None:
        for name in ("dim", "layers", "heads", "epochs", "patience", "batch_positions", "learning_rate", "whole_catalogue"):
            if not getattr(self, name) > 0:
                raise InputError(f"sequence: {name} is {getattr(self, name)}; expected above 0")
        for name in ("dropout", "averaging"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"sequence: {name} is {getattr(self, name)}; expected 0 or more and below 1")
        for name in ("warm_up_steps", "weight_decay", "held_out_members"):
            if not getattr(self, name) >= 0:
                raise InputError(f"sequence: {name} is {getattr(self, name)}; expected 0 or more")
        if self.max_length < 2:
            raise InputError(f"sequence: max_length is {self.max_length}; expected 2 or more")
        if self.dim % (2 * self.heads):
            raise InputError(f"sequence: dim is {self.dim}; expected a multiple of twice the heads, which are {self.heads}")
        if self.precision not in PRECISIONS:
            raise InputError(f"sequence: precision is {self.precision!r}; expected one of {', '.join(PRECISIONS)}")
