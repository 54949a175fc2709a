"""Generation by vLLM's offline engine, on GPUs of this machine.

Written for the public API of vLLM 0.12 and later (`LLM.generate`, `SamplingParams`,
`RequestOutput`) and tested against a mock with its names and types, not against a real engine.
The engine receives token ids rather than messages: it would render the whole history again.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hopgym.errors import HopgymError
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Request, Sampling, request_seed
from hopgym_agents.generate.replies import is_context_error

if TYPE_CHECKING:
    from hopgym_agents.options import LLMOptions

_SAMPLING = Sampling()


class VLLMGenerator:
    """A model in vLLM's offline engine, which batches the requests of a call.

    Every request has its own seed from its key; by rounding, samples can still depend on the other
    requests of a batch. Log-probabilities are those of the sampled tokens under temperature,
    ``top_k`` and ``top_p``. Token ids may extend beyond the text: they include the token that ended
    the turn, and the complete token at the end of a stop text.

    A copy (`copy.copy`) with another ``sampling`` shares the engine.

    Args:
        model: Folder or Hub id.
        sampling: Sampling settings.
        chat_template_kwargs: Further arguments of the chat template, such as
            ``{"enable_thinking": False}``.
        engine_options: Arguments of `vllm.LLM`, such as ``tensor_parallel_size``,
            ``max_model_len``, ``gpu_memory_utilization`` or ``quantization``.

    Attributes:
        encoder: The `ChatEncoder` that turns requests into tokens.

    Raises:
        HopgymError: If vllm is not installed.
        ArgumentError: If the tokenizer has no suitable chat template.
    """

    concurrency = 1

    def __init__(
        self,
        model: str,
        sampling: Sampling = _SAMPLING,
        *,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        **engine_options: Any,
    ) -> None:
        try:
            vllm: Any = import_module("vllm")
        except ModuleNotFoundError as error:
            raise HopgymError(
                "the offline engine needs vllm on a machine with a GPU: pip install vllm; without "
                "one, use a local model of transformers or a server"
            ) from error
        self.model = model
        self.sampling = sampling
        self._template_kwargs = dict(chat_template_kwargs or {})
        self._options = {"logprobs_mode": "processed_logprobs"} | engine_options
        self._vllm = vllm
        self._engine: Any = vllm.LLM(model=model, **self._options)
        self.encoder = ChatEncoder(self._engine.get_tokenizer(), settings=self._template_kwargs)

    @classmethod
    def from_options(cls, options: "LLMOptions", sampling: Sampling) -> "VLLMGenerator":
        """Return a generator for the options of the policy ``llm``."""
        return cls(
            options.model,
            sampling,
            chat_template_kwargs=options.chat_settings,
            **(options.engine or {}),
        )

    @property
    def fingerprint(self) -> str:
        """Model, sampling, and options of chat template and engine."""
        options = sorted((self._template_kwargs | self._options).items())
        return f"vllm {self.model}, {self.sampling} {options}"

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion per request, in order; failures are returned as ``error``."""
        prompts = dict[int, list[int]]()
        replies = dict[int, Completion]()
        for index, request in enumerate(requests):
            try:
                prompts[index] = self.encoder.encode(request)
            except Exception as problem:
                replies[index] = _failed(problem)
        completions = self._complete(list(prompts.values()), [requests[index] for index in prompts])
        replies.update(zip(prompts, completions, strict=True))
        return [replies[index] for index in range(len(requests))]

    def _complete(
        self, prompts: Sequence[list[int]], requests: Sequence[Request]
    ) -> list[Completion]:
        if not prompts:
            return []
        try:
            outputs = self._engine.generate(
                [{"prompt_token_ids": prompt} for prompt in prompts],
                [self._params(request) for request in requests],
                use_tqdm=False,
            )
        except ValueError as error:
            # A request that the engine refuses (its prompt is too long) fails the whole batch.
            if len(requests) == 1:
                return [_failed(error)]
            pairs = zip(prompts, requests, strict=True)
            return [self._complete([prompt], [request])[0] for prompt, request in pairs]
        return [_completion(output) for output in outputs]

    def _params(self, request: Request) -> Any:
        sampling = self.sampling
        return self._vllm.SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            include_stop_str_in_output=True,
            seed=request_seed(sampling, request),
            logprobs=0,  # of the sampled token alone
        )


def _failed(error: Exception) -> Completion:
    if is_context_error(str(error)):
        return Completion("", finish_reason="context", error=str(error))
    message = f"{type(error).__name__}: {error}"
    return Completion("", error=message, error_reason=StopReason.AGENT_ERROR)


def _completion(output: Any) -> Completion:
    sample = output.outputs[0]
    token_ids = tuple(sample.token_ids)
    pairs = zip(token_ids, sample.logprobs or (), strict=False)
    finish = sample.finish_reason or "stop"
    if not sample.text.strip() and finish != "length":
        finish = "empty"
    return Completion(
        sample.text,
        token_ids,
        tuple(logprobs[token].logprob for token, logprobs in pairs),
        generated_tokens=len(token_ids),
        prompt_tokens=len(output.prompt_token_ids or ()),
        finish_reason=finish,
    )
