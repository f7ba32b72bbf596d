"""Conversations of ChatGPT: one order for a tree, and nothing of a node lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from exportd import formats
from exportd.errors import MalformedExport
from exportd.formats import chatgpt
from exportd.models import Kind, Message, Role, Span, Transcript


def _content(*parts: Any, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"content_type": kind, **({"parts": list(parts)} if parts else {}), **more}


def _node(
    key: str, parent: str | None, content: Any = None, role: str = "assistant", **more: Any
) -> tuple[str, dict[str, Any]]:
    message = {
        "id": key, "author": {"role": role, "name": None}, "create_time": 1_770_000_000.5,
        "content": content or _content(key), "weight": 1.0, "metadata": {}, **more,
    }  # fmt: skip
    return key, {"id": key, "parent": parent, "children": [], "message": message}


def _empty(key: str, parent: str | None) -> tuple[str, dict[str, Any]]:
    return key, {"id": key, "parent": parent, "children": [], "message": None}


def _raw(*nodes: tuple[str, Any], **more: Any) -> bytes:
    """Written by hand, so that a key may stand twice."""
    members = ", ".join(f"{json.dumps(key)}: {json.dumps(node)}" for key, node in nodes)
    rest = json.dumps({"title": "Kiln", **more})[:-1]
    return f'{rest}, "mapping": {{{members}}}}}'.encode()


def _parse(*nodes: tuple[str, Any], **more: Any) -> Transcript:
    return chatgpt.parse(_raw(*nodes, **more), "x.json")


def _only(content: Any = None, role: str = "assistant", **more: Any) -> Message:
    (message,) = _parse(_node("a", None, content, role, **more)).messages
    return message


def _ids(transcript: Transcript) -> list[tuple[str | None, str | None]]:
    return [(m.source_id, m.parent_id) for m in transcript.messages]


TREE = [
    _empty("root", None),
    _node("b", "q", create_time=1_769_000_020),
    _node("q", "root", role="user"),
    _node("a", "q", create_time=1_769_000_030),
    _node("then", "b"),
]


def test_an_object_is_claimed_and_a_list_of_them_is_not() -> None:
    raw = _raw(*TREE)
    assert formats.recognise(raw, "x") is chatgpt
    assert not chatgpt.detect(b"[" + raw + b"]", "x").certain
    assert not chatgpt.detect(b'{"a": ' + raw + b"}", "x").certain


def test_a_tree_is_read_from_the_root_down_the_earlier_child_first() -> None:
    assert _ids(_parse(*TREE)) == [("q", None), ("b", "q"), ("then", "b"), ("a", "q")]
    same_time = [_node("q", None), _node("y", "q"), _node("x", "q")]
    assert [own for own, _ in _ids(_parse(*same_time))] == ["q", "x", "y"]


def test_which_branch_is_current_moves_and_changes_no_message() -> None:
    one, other = (_parse(*TREE, current_node=key) for key in ("a", "b"))
    assert [m.text for m in one.messages] == [m.text for m in other.messages]
    assert [m.extra for m in one.messages] == [m.extra for m in other.messages]
    assert (one.header["current_node"], other.header["current_node"]) == ("a", "b")


def test_the_place_of_a_message_is_that_of_its_node() -> None:
    raw = _raw(*TREE)
    for message in chatgpt.parse(raw, "x").messages:
        node = raw[message.span.start : message.span.end]
        assert node.startswith(f'"{message.source_id}":'.encode())


def test_a_node_without_a_message_is_passed_over_by_its_children() -> None:
    nodes = [_node("a", None), _empty("b", "a"), _empty("c", "b"), _node("d", "c")]
    assert _ids(_parse(*nodes)) == [("a", None), ("d", "a")]


def test_a_parent_that_the_export_does_not_have_is_still_named() -> None:
    assert _ids(_parse(_empty("b", "gone"), _node("c", "b"))) == [("c", "gone")]


@pytest.mark.parametrize("parents", [["a"], ["b", "a"], ["c", "a", "b"]])
def test_a_circle_of_parents_is_none_of_messages(parents: list[str]) -> None:
    found = _ids(_parse(*(_node(k, up) for k, up in zip("abc", parents, strict=False))))
    assert sorted(own or "" for own, _ in found) == list("abc"[: len(parents)])
    before: set[str | None] = {None}
    for own, parent in found:
        assert parent in before
        before.add(own)


def test_a_branch_of_thousands_is_no_trouble() -> None:
    nodes = [_node(f"{n}", f"{n - 1}" if n else None) for n in range(5000)]
    assert _ids(_parse(*nodes))[-1] == ("4999", "4998")


def test_the_same_node_again_is_ignored_and_other_content_is_not() -> None:
    one, two = _node("a", None, _content("one")), _node("a", None, _content("two"))
    transcript = _parse(one, two, two, one, _node("a~2", None, _content("three")))
    assert {m.text: m.source_id for m in transcript.messages} == {
        "one": "a", "two": "a~2", "three": "a~2~2",
    }  # fmt: skip
    again = [r.reason for r in transcript.regions if r.label == "ignored"]
    assert again == ["the same record again"] * 2


def test_what_is_hidden_or_thrown_away_is_kept_and_says_so() -> None:
    hidden = {"is_visually_hidden_from_conversation": True, "model_slug": "m-1"}
    message = _only(metadata=hidden, weight=0.0)
    assert (message.extra["hidden"], message.extra["weight"]) == (True, 0.0)
    assert message.model == "m-1"
    assert "raw" not in message.extra


def test_what_is_said_to_a_tool_is_a_call() -> None:
    code = _content(kind="code", language="python", text="1+1")
    message = _only(code, recipient="python")
    assert (message.kind, message.text) == (Kind.TOOL_CALL, "python(1+1)")
    assert (message.extra["tool"], message.extra["input"]) == ("python", "1+1")
    assert message.extra["raw"]["content"]["language"] == "python"
    assert _only(_content("note"), recipient="bio").text == "bio(note)"
    assert _only(_content("note"), recipient="all").kind is Kind.TEXT


def test_only_a_call_at_the_end_is_in_flight() -> None:
    found = _parse(
        _node("a", None, recipient="web"),
        ("b", _node("b", "a")[1] | {"message": {"author": {"role": "tool", "name": "web"}}}),
        _node("c", "b", recipient="web"),
    ).messages
    assert [m.in_flight for m in found] == [False, False, True]
    assert (found[1].role, found[1].extra["tool"]) == (Role.TOOL, "web")


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        (
            _content(kind="thoughts", thoughts=[{"summary": "S", "content": "C"}]),
            "thinking",
            "S\nC",
        ),
        (
            _content(kind="reasoning_recap", content="Thought for 3 s"),
            "thinking",
            "Thought for 3 s",
        ),
        (_content(kind="tether_browsing_display", result="a page"), "text", "a page"),
        (_content(""), "text", ""),
        ("bare", "text", "bare"),
    ],
)
def test_every_kind_of_content_has_a_text(content: Any, kind: str, text: str) -> None:
    message = _only(content)
    assert (message.kind.value, message.text) == (kind, text)


def test_what_a_text_does_not_show_is_kept() -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file://p", "width": 9}
    message = _only(
        _content(picture, "This?", kind="multimodal_text"),
        "user",
        metadata={"attachments": [{"id": "p"}], "request_id": "r"},
    )
    assert message.text == "[image]\n\nThis?"
    assert message.extra["files"] == [{"id": "p"}]
    assert message.extra["raw"]["content"]["parts"] == [picture]
    assert message.extra["raw"]["metadata"] == {"request_id": "r"}


def test_an_unknown_author_is_kept_as_it_is_written() -> None:
    message = _only(author={"role": "critic", "name": "Eve"})
    assert (message.role, message.kind) == (Role.SYSTEM, Kind.NOTICE)
    assert message.extra["raw"]["author"] == {"role": "critic", "name": "Eve"}


@pytest.mark.parametrize("when", [-1, 253_402_300_799_000, "never", None, True])
def test_a_time_that_no_tool_wrote_stays_as_it_was_written(when: Any) -> None:
    message = _only(create_time=when)
    assert message.occurred_at is None
    assert message.extra.get("raw", {}).get("create_time") == when


def test_a_node_that_is_no_object_is_a_fault_and_costs_no_other() -> None:
    transcript = _parse(("odd", 7), _node("a", None))
    assert [m.source_id for m in transcript.messages] == ["a"]
    (fault,) = transcript.faults
    assert fault.span != Span(0, 0)


def test_what_is_cut_off_is_refused_with_its_place() -> None:
    with pytest.raises(MalformedExport, match="line 1 of 1, column"):
        chatgpt.parse(_raw(*TREE)[:-3], "x")
    with pytest.raises(MalformedExport, match="expected nodes in mapping"):
        chatgpt.parse(b'{"mapping": []}', "x")
