"""Secrets taken out of text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuropt_core.redact import alike, is_secret_name, redact, redact_data, redact_override, secrets_in, secrets_of

# Put together here, so that no scanner of repositories takes them for real ones.
SHAPES = [
    "sk-" + "proj-AbCdEf0123456789",
    "hf" + "_AbCdEfGhIjKlMnOpQrStUvWxYz012345",
    "ghp" + "_0123456789abcdefABCDEF",
    "github" + "_pat_11ABCDEFG0123456789",
    "glpat" + "-AbCdEfGh01234567",
    "npm" + "_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
    "pypi" + "-AgEIcHlwaS5vcmcCJ" + "a1B2" * 12,
    "xoxb" + "-123456789012-abcdefABCDEF",
    "wandb" + "_v1_" + "aB3_-x" * 13,
    "AKIA" + "IOSFODNN7EXAMPLE",
    "AIza" + "SyA-0123456789abcdefghij",
    "ya29" + ".a0AfH6SMBx-abc",
    "SG" + ".abcdefghijk.ABCDEFGH0123",
    "abc8Q~" + "AbCdEfGhIjKlMnOpQrStUvWxYz01234567",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "aB3" * 20,
    "0123456789abcdef" * 4,
]


@pytest.mark.parametrize(
    "secret",
    [
        "sk-ant-api03-AbCdEf123",
        "hf_AbCdEfGhIj",
        "ghp_0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "0123456789abcdef0123456789abcdef01234567",
    ],
)
def test_what_looks_like_a_key_is_redacted(secret: str) -> None:
    """Known shapes of keys are replaced wherever they stand."""
    for text in (f"key {secret}.", f"api_key={secret}", f"Bearer {secret}", f"https://me:{secret}@host/"):
        assert secret not in redact(text)
        assert "[redacted]" in redact(text)


def test_values_of_secret_names_are_redacted() -> None:
    """A value after a name such as password goes, whatever it looks like; so do named secrets."""
    assert redact("password: hunter2, lr=3") == "password: [redacted], lr=3"
    assert redact("so plain", "plain") == "so [redacted]"


@pytest.mark.parametrize("name", ["api_token", "wandb_api_key", "DB_PASSWORD", "client-secret", '"access_token"'])
def test_names_with_prefixes_count(name: str) -> None:
    """The secret's name may be longer than the word that tells it."""
    assert "hunter2" not in redact(f"{name}: hunter2")
    assert "hunter2" not in redact(f"{name}='hunter2'")


@pytest.mark.parametrize("text", ["max_tokens=4096", "pad_token=0", "tokenizer: bert", "key=value", "a secret recipe"])
def test_what_is_no_secret_stays(text: str) -> None:
    """Words of the trade that only look alike are left alone."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "a-",
        "_a",
        "sk-",
        "token",
        "://a",
        "bearer ",
        "0f",
        "api_key-",
        "/a b",
        "\\",
        "eyJ",
        "aB3",
        "-----BEGIN PRIVATE KEY-----",
        "token=}",
        "key='",
        'key="\\',
        "gh",
        "x://@",
    ],
)
def test_long_text_takes_no_time(piece: str) -> None:
    """No text that a library or a server makes up keeps the patterns busy."""
    text = piece * (400_000 // len(piece))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 20


def test_secret_variables_are_known_by_their_names() -> None:
    """Values of secret variables come longest first; values too short to be one are left out."""
    environ = {
        "MY_API_KEY": "a" * 9,
        "HF_TOKEN": "b" * 12,
        "DB_PASSWORD": "short",
        "HOME": "/home/someone",
        "KEYS": "c" * 20,
    }
    assert secrets_of(environ) == ("b" * 12, "a" * 9)


@pytest.mark.parametrize("secret", SHAPES)
def test_shapes_of_vendors_are_known_in_data(secret: str) -> None:
    """A key of a known shape goes from data wherever it stands: as a value, within a text, in a list, or as a key."""
    data = {"a": secret, "b": [{"c": f"see {secret}!"}], secret: 1, "d": (f"x={secret}",)}
    assert secret not in str(redact_data(data))


def test_keys_in_several_lines_and_addresses_go() -> None:
    """Private keys, users of addresses, webhooks and signed links are redacted, what surrounds them stays."""
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    assert redact(f"a\n{begin}\nMIIE\n{end}\nb") == "a\n[redacted]\nb"
    assert redact(f"a {begin}\nMIIE and no end") == "a [redacted]"
    assert redact("postgresql://me:p@ss@db:5432/x") == "postgresql://[redacted]db:5432/x"
    assert redact("https://hooks.slack.com/services/T0/B0/abcd") == "https://hooks.slack.com/[redacted]"
    assert redact("https://x.blob.core.windows.net/c?sv=1&sig=aB%2F3&se=2") == (
        "https://x.blob.core.windows.net/c?sv=1&sig=[redacted]&se=2"
    )
    assert redact("AccountName=me;AccountKey=abc+/==;x") == "AccountName=me;AccountKey=[redacted];x"
    assert redact("Authorization: Basic bWU6cHc=, ok") == "Authorization: [redacted], ok"


NAMES = [
    "hub_token",
    "token",
    "apiKey",
    "API_KEY",
    "db.password",
    "client-secret",
    "accessToken",
    "aws_secret_access_key",
]
NAMES += [
    "HF_TOKEN",
    "credentials",
    "use.auth_token",
    "openai_api_keys",
    "passphrase",
    "azure.account_key",
    "private_key",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_under_a_telling_name_goes_whole(name: str) -> None:
    """Text under such a key is redacted with all that lies below; an override keeps its key."""
    assert is_secret_name(name)
    assert redact_data({name: "x y"}) == {name: "[redacted]"}
    assert redact_data({name: {"deep": ["x", None, True]}}) == {name: {"deep": ["[redacted]", None, True]}}
    assert redact_override(f"++model.{name}='a b, c'") == f"++model.{name}=[redacted]"
    assert "hunter" not in redact(f"{name}: 'hunter 2', next")
    assert redact(f"{name}=hunter2").startswith(name)


def test_references_to_secrets_stay_as_they_are_written() -> None:
    """A node that reads the environment is shown unresolved, unless it brings a default; names of variables stay."""
    data = {"hub_token": "${oc.env:HF_TOKEN}", "api_key": None, "api_key_env": "OPENAI_API_KEY", "password": "???"}
    assert redact_data(data) == data
    assert redact_data({"hub_token": "${oc.env:HF_TOKEN,abc}"}) == {"hub_token": "[redacted]"}
    assert redact_override("model.hub_token=${oc.env:HF_TOKEN}") == "model.hub_token=${oc.env:HF_TOKEN}"
    assert redact_data({"password": 12345678, "token": 3}) == {"password": "[redacted]", "token": 3}


ORDINARY = {
    "num_tokens": 512,
    "max_tokens": "4096",
    "tokenizer": "bert-base",
    "tokenizer_name": "hf_internal_testing/tiny",
    "pad_token": "<|endoftext|>",
    "eos_token": "</s>",
    "mask_token": "[MASK]",
    "monitor_key": "val_loss/epoch",
    "key": "value",
    "keys": ["image", "label"],
    "sort_key": "validation_accuracy",
    "secretary": "ann",
    "model": "task-specific-head-v2",
    "name": "risk-adjusted-model_large",
    "path": "/data/Models/efficientnet_lite0-imagenet21k/checkpoint-001200.pt",
    "repo": "facebook/wav2vec2-large-xlsr-53",
    "url": "https://example.org/data@v2/train.tar?version=3",
    "_target_": "torch.optim.AdamW",
    "lr": 3e-4,
    "betas": [0.9, 0.999],
    "flag": True,
    "none": None,
    "interpolation": "${optimizer.lr}",
    "schedule": "cosine:warmup=500,total=10000",
    "hash": "9fceb02",
    "date": "2024-01-31T12:00:00",
    "long": "AStringOfManyWordsInCamelCaseThatIsLongerThanFortyLetters",
}


def test_ordinary_configs_are_not_altered() -> None:
    """Numbers, paths, tokenizers, special tokens, names of models and roles such as monitor_key stay as they are."""
    assert redact_data(ORDINARY) == ORDINARY
    for key, value in ORDINARY.items():
        assert redact_override(f"{key}={value}") == f"{key}={value}"


_TEXT = "model data optim lr width bert base large tokenizer num tokens epoch val loss head layer norm drop warm up"
_WORDS = _TEXT.split()
_names = st.lists(st.sampled_from(_WORDS), min_size=1, max_size=4).map("_".join)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.lists(st.sampled_from(_WORDS), min_size=1, max_size=6).flatmap(
        lambda words: st.sampled_from(["-", "_", "/", ".", " "]).map(lambda sign: sign.join(words))
    ),
)
_configs = st.recursive(_leaves, lambda inner: st.lists(inner) | st.dictionaries(_names, inner), max_leaves=15)


@given(_configs)
def test_no_config_made_of_the_words_of_the_trade_is_altered(config: object) -> None:
    """Whatever is made of ordinary words and numbers comes back equal, and of the same types."""
    assert repr(redact_data(config)) == repr(config)


@given(st.text(max_size=60), st.sampled_from(SHAPES), st.text(max_size=60))
def test_no_surroundings_hide_a_known_value(before: str, secret: str, after: str) -> None:
    """A value that is known to be secret goes from every text, and redacting twice changes nothing more."""
    once = redact(f"{before}{secret}{after}", secret)
    assert secret not in once
    assert redact(redact(once)) == redact(once)


def test_texts_are_alike_but_for_what_is_redacted() -> None:
    """A redacted part may be anything, on either side; all else must be the same."""
    assert alike("a=[redacted]/x", "a=3/x")
    assert alike("a=3/x", "a=[redacted]/x")
    assert alike("same", "same")
    assert not alike("a=[redacted]/x", "a=3/y")
    assert not alike("a", "b")


def test_a_configs_own_secrets_are_listed() -> None:
    """Text under telling keys, however deep, the longest first; not references, numbers, or what is too short."""
    config = {
        "a": {"api_key": "12345678"},
        "tokens": ["x" * 9],
        "credentials": {"user": "y" * 10, "n": 3, "z": "short"},
    }
    assert secrets_in({**config, "hub_token": "${oc.env:HF_TOKEN}", "pad_token": "z" * 9}) == ("y" * 10, "12345678")
