"""Exact token histories of episodes, for any chat template.

Each step's token ids extend those of the previous step. Rendering the whole conversation again
would not guarantee that: templates trim texts and drop the thinking of earlier turns, and a sampled
text may be tokenized differently. So a history is assembled from pieces that are never rendered or
tokenized again: the opening, then for every turn the sampled tokens of the action and what the
template writes between the end of the action and the start of the next one.

Only the template writes control tokens. If a text contains the spelling of one, as a page may do to
end the turn and speak as another role, it is tokenized as ordinary text.
"""

import json
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from threading import Lock
from typing import Any, NoReturn, ParamSpec

from hopgym.errors import ArgumentError
from hopgym.trajectory import Trajectory
from hopgym_agents.generate import Message, Request, Turn
from hopgym_agents.prompts import PLAIN, Style, build_request

_ACTION = "hopgymACTION"
_OBSERVATION = "hopgymOBSERVATION"
_DUMMY_QUESTION: Message = {"role": "user", "content": "?"}
_DUMMY_ACTION: Message = {"role": "assistant", "content": _ACTION}
_PLACEHOLDERS = re.compile(r"(hopgymCONTROL\d+E)")
_CACHED_TOKENS = 1_000_000
"""About 45 MB: the pieces of some 500 episodes of 2,000 tokens."""
_CACHED_ROLES = 16

# Llama's templates write the date into the opening: it must not change during an episode.
_SETTINGS = {"date_string": "26 Jul 2024"}

Tokens = tuple[int, ...]

_P = ParamSpec("_P")


class ChatEncoder:
    """Encodes requests as token ids; the ids of a later step extend those of an earlier one.

    Args:
        tokenizer: A tokenizer of ``transformers`` with a chat template.
        style: How prefixes are rendered; requests are rendered already.
        settings: Further arguments of the chat template, such as ``{"enable_thinking": False}``.

    Raises:
        ArgumentError: If the tokenizer has no chat template, or one that does not support the
            style: it refuses a role, or leaves tools or messages out.
    """

    def __init__(
        self,
        tokenizer: Any,
        style: Style = PLAIN,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.style = style
        self._settings = {**_SETTINGS, **(settings or {})}
        self._name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        special = sorted((token.content for token in added if token.special), key=len, reverse=True)
        self._control = {f"hopgymCONTROL{n}E": token for n, token in enumerate(special)}
        # Rendering and tokenizing a text again at every step would cost more than all the rest.
        self._cache = TokenCache(_CACHED_TOKENS)
        self._check_role = lru_cache(_CACHED_ROLES)(self._check)
        for role in {"user", "tool"} if style.native else {style.role}:
            self._check_role(role)

    def encode(self, request: Request | Trajectory) -> list[int]:
        """Return the tokens of a request, up to where the next action begins.

        The tokens of the next step begin with these tokens, followed by those of the action as it
        was sampled, if they are known.

        Raises:
            ArgumentError: As the constructor, for requests of another style.
        """
        return list(chain.from_iterable(self.pieces(request)))

    def pieces(self, request: Request | Trajectory) -> list[Tokens]:
        """Return the tokens of `encode` in pieces: the opening, then action and reply in turn."""
        if isinstance(request, Trajectory):
            request = build_request(request, self.style)
        cached = self._cache.get_or_compute
        tools = sys.intern(json.dumps(request.tools))  # one string for all keys of the cache
        opening = json.dumps(request.messages[: request.opening])
        pieces = [cached(self._opening, opening, tools)]
        replies = request.messages[request.opening + 1 :: 2]
        for turn, reply in zip(request.turns, replies, strict=True):
            self._check_role(reply["role"])
            pieces.append(cached(self._action, turn))
            pieces.append(cached(self._reply, json.dumps(reply), tools))
        return pieces

    def _opening(self, messages: str, tools: str) -> Tokens:
        conversation = [self._mask_control_tokens(message) for message in json.loads(messages)]
        schemas = json.loads(tools)
        text = self._render(conversation, schemas)
        for message in conversation:
            if message["content"].strip() not in text:
                self._refuse(f"leaves messages of the role {message['role']} out or rewrites them")
        if schemas and text == self._render(conversation, None):
            self._refuse("leaves the schemas of tools out")
        return self._tokens(text)

    def _action(self, turn: Turn) -> Tokens:
        """Return the sampled tokens if they decode to the action, perhaps without the last one."""
        for sampled in (turn.token_ids, turn.token_ids[:-1]):
            if sampled and self._text(sampled) == turn.text:
                return sampled
        return self._tokens(turn.text)

    def _reply(self, message: str, tools: str) -> Tokens:
        conversation = [
            _DUMMY_QUESTION,
            _DUMMY_ACTION,
            self._mask_control_tokens(json.loads(message)),
        ]
        return self._tokens(self._render(conversation, json.loads(tools)).partition(_ACTION)[2])

    def _check(self, role: str) -> None:
        """Raise unless the template's text between two actions can be determined."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise ArgumentError(
                f"the tokenizer of {self._name} must have a chat template, got none; set its "
                "chat_template to that of the model's instructed sibling, or take such a model"
            )
        reply = {"role": role, "content": _OBSERVATION, "tool_call_id": "call00001"}
        between = self._render([_DUMMY_QUESTION, _DUMMY_ACTION, reply], None).partition(_ACTION)[2]
        if _OBSERVATION not in between:
            self._refuse(f"does not write messages of the role {role!r} after the assistant's")

    def _render(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> str:
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                messages,
                tools=tools or None,
                add_generation_prompt=True,
                tokenize=False,
                **self._settings,
            )
        except Exception as error:  # templates can raise anything
            roles = ", ".join(message["role"] for message in messages)
            self._refuse(f"refuses messages of the roles {roles} ({error})", error)
        return rendered

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise ArgumentError(
            f"the chat template of {self._name} cannot be used as it is: it {why}; take the style "
            "'plain' (user and assistant alone), or give the tokenizer a template that can"
        ) from cause

    def _mask_control_tokens(self, message: Message) -> Message:
        """Return a message with placeholders for the control tokens in its text."""
        content: str = message["content"]
        for placeholder, control in self._control.items():
            content = content.replace(control, placeholder)
        return {**message, "content": content}

    def _tokens(self, text: str) -> Tokens:
        """Return the tokens of a text, with placeholders tokenized as ordinary text."""
        token_ids = list[int]()
        for part in _PLACEHOLDERS.split(text):
            token_ids += self.tokenizer(
                self._control.get(part, part),
                add_special_tokens=False,
                verbose=False,
                split_special_tokens=part in self._control,
            )["input_ids"]
        return tuple(token_ids)

    def _text(self, token_ids: Sequence[int]) -> str:
        text: str = self.tokenizer.decode(
            list(token_ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text


class TokenCache:
    """Tokenized texts, limited by the number of tokens; it can be shared by threads.

    The least recently used texts are dropped first. A limit on the number of texts would not bound
    the memory: a page may have thousands of tokens, or three.

    Args:
        capacity: Maximum number of tokens. A token takes about 45 bytes: its place, its number,
            and the four letters or so of its text.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = 0
        """Number of tokens in the cache."""
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, Tokens] = OrderedDict()

    def get_or_compute(
        self, function: Callable[_P, Tokens], *args: _P.args, **kwargs: _P.kwargs
    ) -> Tokens:
        """Return the result of a function for hashable arguments, computed once while cached."""
        key = function, args, tuple(kwargs.items())
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        tokens = function(*args, **kwargs)
        with self._lock:
            if key not in self._entries:
                self._entries[key] = tokens
                self.tokens += len(tokens)
            while self.tokens > self.capacity:
                _, dropped = self._entries.popitem(last=False)
                self.tokens -= len(dropped)
        return tokens
