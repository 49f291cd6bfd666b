"""The client without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neuropt_core.errors import ConfigError, LLMFatal, LLMTransient
from neuropt_core.llm.client import Completion
from neuropt_core.llm.scripted import ScriptedClient, load_script

ASK = ({"role": "user", "content": "hello"},)


def test_a_list_is_played_in_order_and_ends() -> None:
    """Texts, data, completions and errors come in turn; after the last one the client says so."""
    client = ScriptedClient(["a", {"b": 1}, Completion("c", {"input_tokens": 3}), LLMTransient("net", "broke off")])
    assert client.complete(ASK, schema={}).text == "a"
    assert client.complete(ASK, schema={}).text == '{"b": 1}'
    assert client.complete(ASK, schema={}).usage == {"input_tokens": 3}
    with pytest.raises(LLMTransient):
        client.complete(ASK, schema={})
    with pytest.raises(LLMFatal, match="has no reply left after 4"):
        client.complete(ASK, schema={})
    assert client.asked == [ASK] * 5


def test_a_resumed_study_goes_on_where_it_was() -> None:
    """After `seek` the replies that were played before are left out."""
    client = ScriptedClient(["a", "b", "c"])
    client.seek(2)
    assert client.complete(ASK, schema={}).text == "c"
    with pytest.raises(LLMFatal, match="no reply left"):
        client.complete(ASK, schema={})


def test_a_function_sees_messages_and_schema() -> None:
    """A function makes a deterministic stand-in for a model."""
    client = ScriptedClient(lambda messages, schema: f"{messages[0]['content']} {schema['type']}")
    assert client.complete(ASK, schema={"type": "object"}).text == "hello object"


@pytest.mark.parametrize(
    ("reply", "said"), [(7, "neither text nor a mapping"), (None, "NoneType"), ({"a": {1, 2}}, "cannot be written")]
)
def test_a_reply_that_is_none_is_told(reply: Any, said: str) -> None:
    """A function that returns something else is the user's to mend, and the text says what it made."""
    with pytest.raises(LLMFatal, match=said):
        ScriptedClient(lambda messages, schema: reply).complete(ASK, schema={})


@pytest.mark.parametrize(
    ("name", "text"), [("x.json", '["a", {"b": 1}]'), ("x.jsonl", '"a"\n\n{"b": 1}\n'), ("x.jsonl", '"a"\r\n{"b": 1}')]
)
def test_files_hold_texts_and_objects(tmp_path: Path, name: str, text: str) -> None:
    """A list, or one reply a line."""
    file = tmp_path / name
    file.write_text(text, newline="")
    assert load_script(str(file)) == ("a", {"b": 1})


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.json", None, "can be read"),
        ("x.json", "{", "must hold JSON"),
        ("x.jsonl", '"a"\n{', "must hold JSON"),
        ("x.json", '{"a": 1}', "a list of replies"),
        ("x.json", "[]", "a list of replies"),
        ("x.jsonl", "\n", "a list of replies"),
        ("x.json", '["a", 3]', "a list of replies"),
        ("x.json", "[" * 100_000, "must hold JSON"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, name: str, text: str | None, said: str) -> None:
    """What cannot be played is told before the first trial."""
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.llm\.script: .*{said}"):
        load_script(str(tmp_path / name))


def test_a_function_is_found_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dotted path of a function in a module that can be imported."""
    (tmp_path / "a_script_of_mine.py").write_text("def reply(messages, schema):\n    return 'mine'\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = load_script("a_script_of_mine.reply")
    assert ScriptedClient(found).complete(ASK, schema={}).text == "mine"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("function", "must be the dotted path"),
        ("a b.c", "must be the dotted path"),
        ("../x.py", "must be the dotted path"),
        ("no_such_module_here.f", "names the module no_such_module_here"),
        ("json.no_such_function", "names no function"),
        ("json.__doc__", "names no function"),
        ("json.no_such_module.f", "names the module json.no_such_module"),
    ],
)
def test_a_wrong_path_is_refused(script: str, said: str) -> None:
    """A path that leads nowhere is told with what was looked for."""
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.llm\.script: {said}"):
        load_script(script)


def test_what_the_users_module_lacks_is_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing import within the user's module is not mistaken for the module."""
    (tmp_path / "a_script_that_lacks.py").write_text("import no_such_package_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        load_script("a_script_that_lacks.reply")
