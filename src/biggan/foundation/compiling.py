"""Networks compiled by torch.compile: which, how often, and what happens where that is not possible."""

from __future__ import annotations

import contextlib
import gc
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from biggan.foundation.memory import give_back_freed_memory
from biggan.foundation.terminal import one_line

_SHOWN = 200
Backend = Callable[[Any, Any], Callable[..., Any]]
Result = TypeVar("Result")


class Compiler:
    """Compiles the calls of networks, one graph for each kind of call.

    A kind is a network, a size of batch and what requires gradients: in training nothing for the fakes that D learns
    from, D's own weights, or images alone; in sampling nothing. Sizes are constants of a graph: training has two of
    them at most, sampling fills every batch up to one.
    """

    def __init__(
        self,
        backend: str | Backend = "inductor",
        *,
        cuda_graphs: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            backend: of torch.compile, or its name.
            cuda_graphs: record each graph's kernels and launch them as one; of a GPU only, and of inductor.
            tell: told once, should a network not be compiled.
        """
        self.backend, self.cuda_graphs = backend, cuda_graphs
        self.tell = tell or (lambda _: None)
        self.graphs = 0
        """How many have been compiled. None should be after the second update."""
        self.failed = False
        self._took = False

    def __call__(self, network: Callable[..., Result]) -> Callable[..., Result]:
        """Return ``network`` as a compiled function; it compiles when it is called, and runs plainly should it fail."""
        compiled = torch.compile(network, backend=self._counted, dynamic=False)

        def call(*inputs: Tensor) -> Result:
            if self.failed:
                return plain(*inputs)
            graphs = self.graphs
            try:
                output: Result = compiled(*inputs)
            except torch._dynamo.exc.TorchDynamoException as error:
                self.failed = True
                reason = one_line(str(error).strip(), _SHOWN)
                self.tell(f"not compiled, which is slower and else the same ({type(error).__name__}: {reason})")
                return plain(*inputs)
            self._give_back(compiled=self.graphs > graphs)
            # The next call of a recorded graph writes its output to the same place.
            return _cloned(output) if self.cuda_graphs else output

        plain = network
        return call

    def _give_back(self, *, compiled: bool) -> None:
        """Return what compiling took to the system: after each call that compiled, and after the first that did not.

        The last time there is least in use: an update has ended since. What a compiler makes refers to itself, so that
        it has to be looked for first.
        """
        if compiled or self._took:
            gc.collect()
            give_back_freed_memory()
        self._took = compiled

    def _counted(self, graph: Any, inputs: Any) -> Any:
        self.graphs += 1
        with _backward_at_once(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="TensorFloat32")  # which a run does without on purpose
            return self._compiled(graph, inputs)

    def _compiled(self, graph: Any, inputs: Any) -> Any:
        if self.backend == "inductor" and self.cuda_graphs:
            from torch._inductor.compile_fx import compile_fx

            return compile_fx(graph, inputs, config_patches={"triton.cudagraphs": True})
        return torch._dynamo.lookup_backend(self.backend)(graph, inputs)


def _cloned(output: Result) -> Result:
    """Return a copy of every tensor in ``output``."""
    copied: Result = tree_map(lambda tensor: tensor.clone(), output)
    return copied


def _backward_at_once() -> contextlib.AbstractContextManager[object]:
    """Return a context in which a backward pass is compiled with its forward one, where its failure can be heard."""
    from torch._functorch import config

    if not hasattr(config, "force_non_lazy_backward_lowering"):
        return contextlib.nullcontext()
    patched: contextlib.AbstractContextManager[object] = config.patch(force_non_lazy_backward_lowering=True)
    return patched
