"""What Slack answers, and what it means for a message: pure.

The codes are those of https://docs.slack.dev/reference/methods/chat.postMessage and of
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..alerts.notice import ChannelRefuses, MessageRefused, NotNow, NotSent, Unclear
from ..alerts.plain import status_in_words

_CODE = re.compile(r"[a-z][a-z_]{1,59}")

_MESSAGE = {
    "attachment_payload_limit_exceeded", "invalid_arg_name", "invalid_arguments",
    "invalid_attachments", "invalid_blocks", "invalid_blocks_format", "invalid_json",
    "invalid_payload", "markdown_text_conflict", "missing_text_or_fallback_or_attachments",
    "msg_blocks_too_long", "msg_too_long", "no_text", "rich_text_blocks_not_supported",
    "too_many_attachments",
}  # fmt: skip
_THREAD = {
    "cannot_reply_to_message", "invalid_thread_ts", "message_not_found",
    "restricted_action_non_threadable_channel", "restricted_action_thread_locked",
    "thread_not_found",
}  # fmt: skip
_LATER = {
    "message_limit_exceeded", "rate_limited", "ratelimited", "team_added_to_org",
}  # fmt: skip
# "It's possible some aspect of the operation succeeded before the error was raised."
_UNCLEAR = {
    "fatal_error", "internal_error", "request_timeout", "rollup_error", "service_unavailable",
}  # fmt: skip
_BOT = "set a valid bot token (xoxb-…) of an installed app"
_ASK = "ask an administrator of the workspace"
_WEBHOOK = "make a new incoming webhook and set its URL"
_ADVICE = {
    "access_denied": _ASK,
    "accesslimited": _ASK,
    "account_inactive": f"the app or its workspace was removed: {_BOT}",
    "action_prohibited": f"the workspace forbids it: {_ASK}",
    "channel_is_archived": "unarchive the channel, or set another",
    "channel_not_found": "set the channel's id or name; a private one must have the bot in "
    "it: /invite @exportd",
    "ekm_access_denied": f"posting is suspended: {_ASK}",
    "invalid_auth": f"the token is not valid: {_BOT}",
    "invalid_token": f"the webhook's URL is not valid: {_WEBHOOK}",
    "is_archived": "unarchive the channel, or set another",
    "missing_scope": "give the app the scope chat:write, and install it again",
    "no_active_hooks": f"the webhook is switched off: {_WEBHOOK}",
    "no_permission": "give the app the scope chat:write, and install it again",
    "no_service": f"the webhook was removed: {_WEBHOOK}",
    "no_service_id": f"the webhook's URL is not complete: {_WEBHOOK}",
    "no_team": f"the workspace is not there: {_WEBHOOK}",
    "not_allowed_token_type": f"the token is of another kind: {_BOT}",
    "not_authed": f"no token came with the message: {_BOT}",
    "not_in_channel": "invite the bot to {channel}: /invite @exportd",
    "posting_to_general_channel_denied": "set another channel, or allow it to post there",
    "restricted_action": f"the workspace restricts who posts there: {_ASK}",
    "restricted_action_read_only_channel": "the channel is read-only: set another",
    "team_disabled": f"the workspace is disabled: {_ASK}",
    "token_expired": f"the token has expired: {_BOT}",
    "token_revoked": f"the token was revoked: {_BOT}",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Slack; ``code`` is empty where it gave none that is known as such."""

    status: int
    code: str
    wait_s: float | None = None
    channel: str = ""
    ts: str = ""

    @property
    def is_ok(self) -> bool:
        return self.status == 200 and self.code == "ok"

    @property
    def is_about_thread(self) -> bool:
        return self.code in _THREAD

    @property
    def is_about_message(self) -> bool:
        """Whether it may take the same in plainer words; so for a code that is not known."""
        others = _LATER | _UNCLEAR | _ADVICE.keys()
        is_denied = bool(self.code) and self.status in (200, 400, 413)
        return is_denied and not self.is_ok and self.code not in others


def code_in(said: object) -> str:
    """An error's code; whatever else was said may quote what is secret."""
    return said if isinstance(said, str) and _CODE.fullmatch(said) else ""


def refusal(answer: Answer, channel: str) -> NotSent:
    """What an answer other than "ok" means; ``channel`` is the name for people."""
    said = f"Slack said {answer.code or status_in_words(answer.status)}"
    if answer.status in (408, 429) or answer.code in _LATER:
        return NotNow(f"{said}: it takes no more messages for now", answer.wait_s)
    if answer.status >= 500 or answer.code in _UNCLEAR:
        return Unclear(f"{said}: whether the message arrived is not known")
    if answer.code in _ADVICE:
        return ChannelRefuses(f"{said}: {_ADVICE[answer.code].format(channel=channel)}")
    if answer.code in _MESSAGE | _THREAD:
        return MessageRefused(f"{said}, also to the message in plain text")
    if answer.status >= 300 or answer.code:
        note = "no redirect is followed; " if answer.status < 400 and not answer.code else ""
        return ChannelRefuses(f"{said}: {note}check the address and the Slack app's settings")
    return Unclear(f"{said}, and nothing that can be read")
