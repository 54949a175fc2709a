"""Chat: the exact tokens of an episode so far, on any chat template.

In: a request or a prefix. Out: token ids, to which each further step only adds. Rendering a whole
conversation anew promises no such thing: templates trim texts and drop the thinking of earlier
turns, and text that was sampled as some tokens may be read back as others. So a history is put
together from pieces that are never rendered or tokenised again: the opening, then for every turn
the action's own tokens and what the template writes from the action's end to the next one's begin.

Only the template writes control tokens: where a text spells one, as a page may, to end the turn
and speak for another, it is spelt out in ordinary tokens.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NoReturn

from hopgym.errors import ArgumentError
from hopgym.trajectory import Trajectory
from hopgym_agents.generate import Message, Request, Turn
from hopgym_agents.prompts import PLAIN, Style, request_of
from hopgym_agents.token_cache import TokenMemory

_ACTION, _OBSERVATION = "hopgymACTION", "hopgymOBSERVATION"
_DUMMY_QUESTION: Message = {"role": "user", "content": "?"}
_DUMMY_ACTION: Message = {"role": "assistant", "content": _ACTION}
_MARKS = re.compile(r"(hopgymCONTROL\d+E)")
_REMEMBERED = 1_000_000
"""Most tokens remembered, about 45 MB: the pieces of some 500 episodes of 2,000 tokens."""
_ROLES = 16

# Llama's templates write the day into the opening: it must not change under an episode.
_SETTINGS = {"date_string": "26 Jul 2024"}


class ChatEncoder:
    """Turns requests into token ids that grow at the end alone.

    Args:
        tokenizer: A tokenizer of ``transformers`` with a chat template.
        style: How prefixes are rendered; requests are rendered already.
        settings: Further arguments of the chat template, such as ``{"enable_thinking": False}``.

    Raises:
        ArgumentError: When the tokenizer has no chat template, or one that the style does not go
            with: it refuses a role, or leaves tools or messages out.
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
        control = sorted((each.content for each in added if each.special), key=len, reverse=True)
        self._control = {f"hopgymCONTROL{number}E": each for number, each in enumerate(control)}
        # Rendering and tokenising a text again at every step would cost more than all else here.
        self._memory = TokenMemory(_REMEMBERED)
        self._remembered_check = lru_cache(_ROLES)(self._check)
        for role in {"user", "tool"} if style.native else {style.role}:
            self._remembered_check(role)

    def encode(self, asked: Request | Trajectory) -> list[int]:
        """Return the tokens of what is asked, up to where the next action begins.

        What is asked a step later begins with the very same tokens, and goes on with those of the
        action as it was sampled, where they are known.

        Raises:
            ArgumentError: As the constructor does, for requests of another style than its own.
        """
        return list(chain.from_iterable(self.pieces(asked)))

    def pieces(self, asked: Request | Trajectory) -> list[tuple[int, ...]]:
        """Return the tokens of `encode` in pieces: the opening, then action and reply by turns."""
        request = request_of(asked, self.style) if isinstance(asked, Trajectory) else asked
        tools = sys.intern(_written(request.tools))  # One text behind all that is remembered by it.
        recall, opening = self._memory.recall, _written(request.messages[: request.opening])
        pieces = [recall(self._opening, opening, tools)]
        replies = request.messages[request.opening + 1 :: 2]
        for turn, reply in zip(request.turns, replies, strict=True):
            self._remembered_check(reply["role"])
            pieces.append(recall(self._action, turn))
            pieces.append(recall(self._reply, _written(reply), tools))
        return pieces

    def _opening(self, messages: str, tools: str) -> tuple[int, ...]:
        conversation = [self._guarded(message) for message in json.loads(messages)]
        schemas = json.loads(tools)
        text = self._render(conversation, schemas)
        for message in conversation:
            if message["content"].strip() not in text:
                self._refuse(f"leaves messages of the role {message['role']} out or rewrites them")
        if schemas and text == self._render(conversation, None):
            self._refuse("leaves the schemas of tools out")
        return self._tokens(text)

    def _action(self, turn: Turn) -> tuple[int, ...]:
        """Return an action's tokens as sampled if they spell it, but for a mark of the end."""
        for sampled in (turn.token_ids, turn.token_ids[:-1]):
            if sampled and self._text(sampled) == turn.text:
                return sampled
        return self._tokens(turn.text)

    def _reply(self, message: str, tools: str) -> tuple[int, ...]:
        conversation = [_DUMMY_QUESTION, _DUMMY_ACTION, self._guarded(json.loads(message))]
        return self._tokens(self._render(conversation, json.loads(tools)).partition(_ACTION)[2])

    def _check(self, role: str) -> None:
        """Raise unless it can be told what the template writes between two actions."""
        if not getattr(self.tokenizer, "chat_template", None):
            raise ArgumentError(
                f"the tokenizer of {self._name} must have a chat template, got none; set its "
                "chat_template to that of the model's instructed sibling, or take such a model"
            )
        reply = {"role": role, "content": _OBSERVATION, "tool_call_id": "call00001"}
        between = self._render([_DUMMY_QUESTION, _DUMMY_ACTION, reply], None).partition(_ACTION)[2]
        if _OBSERVATION not in between:
            self._refuse(f"does not write what the role {role!r} says behind the assistant's words")

    def _render(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> str:
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                messages,
                tools=tools or None,
                add_generation_prompt=True,
                tokenize=False,
                **self._settings,
            )
        except Exception as error:  # Templates raise what they like.
            roles = ", ".join(message["role"] for message in messages)
            self._refuse(f"refuses messages of the roles {roles} ({error})", error)
        return rendered

    def _refuse(self, why: str, cause: Exception | None = None) -> NoReturn:
        raise ArgumentError(
            f"the chat template of {self._name} cannot be used as it is: it {why}; take the style "
            "'plain' (user and assistant alone), or give the tokenizer a template that can"
        ) from cause

    def _guarded(self, message: Message) -> Message:
        """Return a message with a mark for every control token that its text spells."""
        content: str = message["content"]
        for mark, control in self._control.items():
            content = content.replace(control, mark)
        return {**message, "content": content}

    def _tokens(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text, those of marks spelt out."""
        token_ids = list[int]()
        for part in _MARKS.split(text):
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


def _written(value: object) -> str:
    """Return messages or schemas as one text, to remember them by."""
    return json.dumps(value)
