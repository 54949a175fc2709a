"""Generation by vLLM's offline engine, on GPUs of this machine.

Written to the public API of vLLM 0.12 and later (`LLM.generate`, `SamplingParams`,
`RequestOutput`), and tested against a stand-in with its names and types; it has not been run on a
real engine. The engine is given token ids, never messages: it would render a history anew.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from hopgym.errors import HopgymError
from hopgym.trajectory import Completion, StopReason
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Request, Sampling
from hopgym_agents.generate.replies import is_about_context
from hopgym_agents.generate.seeding import seed_of

_SAMPLING = Sampling()


class VLLMGenerator:
    """A model in vLLM's own engine, which batches all requests of a call itself.

    Every request has a seed of its own by its key; what is drawn can still differ with the
    requests beside it, by rounding. Log-probabilities are those of the sampled tokens at the
    sampling's temperature, ``top_k`` and ``top_p``. Token ids may go a little beyond the text: they
    hold the token that ended the turn, and all of a token that a stop text cuts through.

    A copy (`copy.copy`) with another ``sampling`` shares the engine.

    Args:
        model: Folder or Hub id.
        sampling: How completions are sampled.
        chat_template_kwargs: For the chat template, such as ``{"enable_thinking": False}``.
        engine_options: Of `vllm.LLM`, such as ``tensor_parallel_size``, ``max_model_len``,
            ``gpu_memory_utilization`` or ``quantization``.

    Attributes:
        encoder: What turns requests into the tokens that the engine is given.

    Raises:
        HopgymError: Where vllm is not installed.
        ArgumentError: When the model's tokenizer has no chat template that can be used.
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

    @property
    def fingerprint(self) -> str:
        """Model, sampling, and options of template and engine."""
        options = sorted((self._template_kwargs | self._options).items())
        return f"vllm {self.model}, {self.sampling} {options}"

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        """Return one completion for each request, in their order."""
        prompts = dict[int, list[int]]()
        replies = dict[int, Completion]()
        for at, request in enumerate(requests):
            try:
                prompts[at] = self.encoder.encode(request)
            except Exception as problem:
                replies[at] = _failed(problem)
        made = self._continued(list(prompts.values()), [requests[at] for at in prompts])
        replies.update(zip(prompts, made, strict=True))
        return [replies[at] for at in range(len(requests))]

    def _continued(
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
            # One request that the engine cannot take (a prompt too long for it) fails all of them.
            if len(requests) == 1:
                return [_failed(error)]
            alone = zip(prompts, requests, strict=True)
            return [self._continued([prompt], [request])[0] for prompt, request in alone]
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
            seed=seed_of(sampling, request),
            logprobs=0,  # of the sampled token alone
        )


def _failed(error: Exception) -> Completion:
    if is_about_context(str(error)):
        return Completion("", finish_reason="context", error=str(error))
    message = f"{type(error).__name__}: {error}"
    return Completion("", error=message, error_reason=StopReason.AGENT_ERROR)


def _completion(output: Any) -> Completion:
    made = output.outputs[0]
    token_ids = tuple(made.token_ids)
    places = zip(token_ids, made.logprobs or (), strict=False)
    finish = made.finish_reason or "stop"
    if not made.text.strip() and finish != "length":
        finish = "empty"
    return Completion(
        made.text,
        token_ids,
        tuple(found[token].logprob for token, found in places),
        generated_tokens=len(token_ids),
        prompt_tokens=len(output.prompt_token_ids or ()),
        finish_reason=finish,
    )
