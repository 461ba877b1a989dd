"""Settings come from the file, the environment and the command line; all that is wrong is said at once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_proxy.addresses import Address
from sidekey_proxy.configuration.config import ENVIRONMENT_ONLY, load
from sidekey_proxy.configuration.contradictions import contradictions
from sidekey_proxy.configuration.folders import home
from sidekey_proxy.configuration.settings import SECTIONS, SETTINGS, Settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
KEY = "canary-client-key-0123456789abcdef"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def written(folder: Path, text: str, name: str = "config.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def problems(**sources: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(sources.pop("environ", {}), **sources)
    return str(caught.value).splitlines()


# --- the example ----------------------------------------------------------------------------------------


def test_the_example_as_it_is_changes_nothing() -> None:
    configuration = load({}, config_file=EXAMPLE)

    assert configuration.settings == Settings()
    assert set(configuration.came_from.values()) == {"default"}


def test_the_example_uncommented_gives_exactly_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[a-z_]+ = )", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    file = written(tmp_path, text)

    configuration = load({}, config_file=file)

    # A path is relative to the file, and "no path" stays none.
    assert configuration.settings == Settings()
    assert set(configuration.came_from) == set(SETTINGS)
    assert set(configuration.came_from.values()) == {f"file {file}"}


def test_the_example_describes_every_setting_with_its_sentence_and_what_is_allowed() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    flowing = " ".join(text.replace("\n# ", " ").split())

    assert re.findall(r"^#([a-z_]+) = ", text, re.MULTILINE) == list(SETTINGS)
    for setting in SETTINGS.values():
        assert f"{setting.says} Allowed: {setting.kind.allowed}. #{setting.name} = " in flowing.replace(
            "\n", " "
        )
    for name in ENVIRONMENT_ONLY:
        assert name in text


def test_every_section_stands_above_a_setting() -> None:
    assert set(SECTIONS.values()) <= set(SETTINGS)


# --- who wins -------------------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'log_level = "debug"\nexchange = "when-refused"\nrefresh_margin = 60\n')
    environ = {"SIDEKEY_EXCHANGE": "always", "SIDEKEY_REFRESH_MARGIN": "61"}

    configuration = load(environ, config_file=file, flags={"refresh_margin": "62.5", "profile": None})

    settings, came_from = configuration.settings, configuration.came_from
    assert (settings.profile, came_from["profile"]) == ("default", "default")
    assert (settings.log_level, came_from["log_level"]) == ("debug", f"file {file}")
    assert (settings.exchange, came_from["exchange"]) == ("always", "environment SIDEKEY_EXCHANGE")
    assert (settings.refresh_margin, came_from["refresh_margin"]) == (62.5, "command line --refresh-margin")
    assert configuration.file == file


def test_the_file_is_the_flags_then_the_variables_then_the_usual_one(tmp_path: Path) -> None:
    usual = written(tmp_path / "config" / "sidekey", 'profile = "usual"\n')
    variable = written(tmp_path, 'profile = "variable"\n', "a.toml")
    flag = written(tmp_path, 'profile = "flag"\n', "b.toml")
    environ = {"SIDEKEY_CONFIG": str(variable)}

    if sys.platform == "linux":
        assert load({}).file == usual
    assert load(environ).settings.profile == "variable"
    assert load(environ, config_file=flag).settings.profile == "flag"


def test_without_a_usual_file_the_defaults_hold() -> None:
    configuration = load({})

    assert configuration.settings == Settings()
    assert configuration.file is None


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_file_that_was_named_must_be_there(tmp_path: Path, how: str) -> None:
    missing = tmp_path / "no.toml"

    if how == "flag":
        said = problems(config_file=missing)
    else:
        said = problems(environ={"SIDEKEY_CONFIG": str(missing)})

    assert said == [f"{missing}: cannot be read: No such file or directory."]


def test_each_setting_has_a_variable_of_its_name(tmp_path: Path) -> None:
    for setting in SETTINGS.values():
        text = setting.kind.plain(setting.default)
        value = ",".join(map(str, text)) if isinstance(text, list) else str(text)
        configuration = load({setting.variable: value})
        assert configuration.settings == Settings()
        if value:
            assert configuration.came_from[setting.name] == f"environment {setting.variable}"


def test_lists_are_comma_separated_in_variables_and_repeatable_as_flags() -> None:
    environ = {"SIDEKEY_HOSTS": "a.example, b.example ,", "SIDEKEY_CALLBACK_PORTS": "1457"}

    settings = load(environ, flags={"listen": ["8000", "[::1]:8000,8001"], "admin_listen": ()}).settings

    assert settings.hosts == ("a.example", "b.example")
    assert settings.callback_ports == (1457,)
    assert settings.listen == (Address("127.0.0.1", 8000), Address("::1", 8000), Address("127.0.0.1", 8001))
    assert settings.admin_listen == Settings().admin_listen


def test_a_list_of_one_needs_no_brackets_in_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'listen = 9000\nhosts = "a.example"\nadmin_listen = []\n')

    settings = load({}, config_file=file).settings

    assert settings.listen == (Address("127.0.0.1", 9000),)
    assert settings.hosts == ("a.example",)
    assert settings.admin_listen == ()


@pytest.mark.parametrize(
    ("written_as", "size", "shown_as"),
    [
        ("64 MiB", 64 * 1024**2, "64 MiB"),
        ("64MiB", 64 * 1024**2, "64 MiB"),
        ("2048 KiB", 2 * 1024**2, "2 MiB"),
        ("1 GiB", 1024**3, "1 GiB"),
        ("1000", 1000, 1000),
        ("0", 0, 0),
    ],
)
def test_a_size_is_written_with_its_unit_or_in_bytes(written_as: str, size: int, shown_as: object) -> None:
    settings = load({"SIDEKEY_REPLAY_LIMIT": written_as}).settings

    assert settings.replay_limit == size
    assert SETTINGS["replay_limit"].kind.plain(size) == shown_as


@pytest.mark.parametrize("word", ["false", "No", "OFF", "0"])
def test_a_boolean_variable_takes_the_usual_words(word: str) -> None:
    assert load({"SIDEKEY_CLIENT_KEY_REQUIRED": word}).settings.client_key_required is False


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = written(tmp_path, 'originator = ""\n')

    configuration = load({"SIDEKEY_ORIGINATOR": "", "SIDEKEY_LOG_LEVEL": " "}, config_file=file)

    assert configuration.settings.originator == ""
    assert configuration.settings.log_level == "info"


def test_paths_in_the_file_are_relative_to_it_and_others_to_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "etc", 'ca_bundle = "ca.pem"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")

    assert load({}, config_file=file).settings.ca_bundle == tmp_path / "etc" / "ca.pem"
    assert load({"SIDEKEY_CA_BUNDLE": "ca.pem"}).settings.ca_bundle == tmp_path / "ca.pem"
    if os.name == "posix":
        assert load({"SIDEKEY_CA_BUNDLE": "~/ca.pem"}).settings.ca_bundle == Path("/home/somebody/ca.pem")


# --- what is wrong --------------------------------------------------------------------------------------


def test_everything_wrong_is_said_at_once_with_file_key_and_what_is_allowed(tmp_path: Path) -> None:
    file = written(tmp_path, 'log_levle = "info"\nexchange = "never"\ncallback_ports = [65536]\n')
    environ = {"SIDEKEY_LOG_FORMAT": "xml", "SIDEKEY_LISTN": "1", "SIDEKEY_CLIENT_KEY": "short"}

    said = problems(environ=environ, config_file=file, flags={"listen": ["nowhere"]})

    assert said == [
        f"{file}: `log_levle` is not a setting; did you mean `log_level`?",
        "environment: SIDEKEY_LISTN is not a setting; did you mean SIDEKEY_LISTEN?",
        f'{file}: `exchange` has a value that cannot be used. Allowed: "always" or "when-refused".',
        (
            f"{file}: `callback_ports` has a value that cannot be used. "
            "Allowed: a list of ports from 1 to 65535, or 0 for any free one."
        ),
        (
            "environment: SIDEKEY_LOG_FORMAT has a value that cannot be used. "
            'Allowed: "auto", "console" or "json".'
        ),
        (
            "command line: --listen has a value that cannot be used (the port is missing). "
            'Allowed: a list of addresses such as "127.0.0.1:8484", "[::1]:8484", "https://0.0.0.0:8443" or '
            '"unix:/run/sidekey.sock?mode=0660".'
        ),
        "environment: SIDEKEY_CLIENT_KEY cannot be used: a client key has 32 characters or more.",
    ]


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_no_setting_takes_a_value_of_another_type(setting: Any, tmp_path: Path) -> None:
    for wrong in ("1979-05-27", "[[1, 2]]", "{ a = 1 }", "nan"):
        said = problems(config_file=written(tmp_path, f"{setting.name} = {wrong}\n"))
        assert len(said) == 1
        assert said[0].startswith(f"{tmp_path / 'config.toml'}: `{setting.name}` has a value")
        assert said[0].endswith(f"Allowed: {setting.kind.allowed}.")


def test_an_origin_is_kept_as_browsers_write_it(tmp_path: Path) -> None:
    """Else a page that is listed would be refused all the same."""
    line = 'origins = ["HTTPS://App.example:443", "http://localhost:3000", "http://box.example:80"]'
    settings = load({}, config_file=written(tmp_path, line + "\n")).settings
    assert settings.origins == ("https://app.example", "http://localhost:3000", "http://box.example")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('client_key_required = "yes"', "client_key_required"),
        ("drain_timeout = -1", "drain_timeout"),
        ("drain_timeout = true", "drain_timeout"),
        ("drain_timeout = inf", "drain_timeout"),
        ('drain_timeout = "5"', "drain_timeout"),
        ("connect_timeout = 0", "connect_timeout"),
        ('replay_limit = "64 MB"', "replay_limit"),
        ('replay_limit = "1.5 GiB"', "replay_limit"),
        ('replay_limit = "-1 KiB"', "replay_limit"),
        ('replay_limit = ""', "replay_limit"),
        ("replay_limit = -1", "replay_limit"),
        ("replay_limit = 1.5", "replay_limit"),
        ("replay_limit = true", "replay_limit"),
        ("listen = []", "listen"),
        ("listen = true", "listen"),
        ("callback_ports = [true]", "callback_ports"),
        ("callback_ports = []", "callback_ports"),
        ('hosts = ["a.example:80"]', "hosts"),
        ('hosts = ["*"]', "hosts"),
        ('origins = ["https://app.example/path"]', "origins"),
        ('origins = ["*"]', "origins"),
        ('origins = ["null"]', "origins"),
        ('origins = ["https://ada@app.example"]', "origins"),
        ('upstream = "api.openai.com"', "upstream"),
        ('upstream = ""', "upstream"),
        ('issuer = "http://issuer.example"', "issuer"),
        ('client_id = " "', "client_id"),
        ('scope = "a\\u0007b"', "scope"),
        ('profile = "../x"', "profile"),
        ('log_level = "INFO!"', "log_level"),
        ('callback_host = "0.0.0.0"', "callback_host"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(tmp_path: Path, line: str, name: str) -> None:
    said = problems(config_file=written(tmp_path, line + "\n"))

    assert len(said) == 1
    assert f"`{name}` has a value that cannot be used" in said[0]


def test_a_value_is_never_repeated_since_it_may_be_a_secret_in_the_wrong_place(tmp_path: Path) -> None:
    secret = "sk-canary-in-the-wrong-place"
    file = written(
        tmp_path, f'log_level = "{secret}"\nkey = "{secret}"\nupstream = "https://u:{secret}@h/"\n'
    )

    said = problems(config_file=file, environ={"SIDEKEY_LISTEN": secret, "SIDEKEY_X": secret})

    assert len(said) == 5
    assert secret not in "\n".join(said)


def test_settings_inside_a_section_are_named_with_it_and_pointed_to_the_top(tmp_path: Path) -> None:
    said = problems(config_file=written(tmp_path, "[log]\nlevel = 1\n[server]\nlisten = 1\n[empty]\n"))

    outside = "is not a setting (settings stand at the top level, outside sections); did you mean"
    assert said[0].endswith(f"`log.level` {outside} `log_level`?")
    assert said[1].endswith(f"`server.listen` {outside} `listen`?")
    assert said[2].endswith("`empty` is not a setting.")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("sandbox", "--sandbox on the command line, and nowhere else"),
        ("api_key", "sidekey key set"),
        ("client_key", "SIDEKEY_CLIENT_KEY"),
        ("seal_key", "SIDEKEY_SEAL_KEY"),
        ("home", "SIDEKEY_HOME"),
        ("config", "--config"),
        ("port", "did you mean `listen`?"),
        ("base_url", "did you mean `upstream`?"),
    ],
)
def test_what_belongs_elsewhere_is_refused_with_the_right_place(tmp_path: Path, key: str, hint: str) -> None:
    said = problems(config_file=written(tmp_path, f"{key} = true\n"))

    assert f"`{key}` is not a setting" in said[0]
    assert hint in said[0]


def test_the_sandbox_cannot_be_switched_on_by_the_environment() -> None:
    said = problems(environ={"SIDEKEY_SANDBOX": "1"})

    assert said == [
        (
            "environment: SIDEKEY_SANDBOX is not a setting: "
            "the sandbox is asked for with --sandbox on the command line, and nowhere else."
        )
    ]


def test_variables_of_the_vault_and_of_start_up_are_known() -> None:
    environ = dict.fromkeys(ENVIRONMENT_ONLY, "")

    assert load(environ).settings == Settings()


def test_what_kubernetes_and_docker_set_for_a_service_called_sidekey_is_no_mistake() -> None:
    environ = {
        "SIDEKEY_SERVICE_HOST": "10.0.0.1",
        "SIDEKEY_SERVICE_PORT": "80",
        "SIDEKEY_SERVICE_PORT_HTTP": "80",
        "SIDEKEY_PORT": "tcp://10.0.0.1:80",
        "SIDEKEY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "SIDEKEY_PORT_80_TCP_PROTO": "tcp",
        "SIDEKEY_PORT_80_TCP_PORT": "80",
        "SIDEKEY_PORT_80_TCP_ADDR": "10.0.0.1",
        "SIDEKEY_ADMIN_SERVICE_HOST": "10.0.0.1",
        "SIDEKEY_ADMIN_PORT": "tcp://10.0.0.1:80",
    }

    assert load(environ).settings == Settings()
    assert problems(environ={"SIDEKEY_PORT": "8484"}) == [
        "environment: SIDEKEY_PORT is not a setting; did you mean SIDEKEY_LISTEN?"
    ]


def test_no_setting_is_named_like_a_service_link() -> None:
    assert not [name for name in SETTINGS if re.search(r"(^|_)(service_host|service_port|port)(_|$)", name)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"listen = [", "is not TOML: "),
        (b'a = "\xff"', "is not UTF-8"),
        (b"secret-canary-text\nx", "is not TOML: the mistake is at line 1, column "),
    ],
)
def test_a_file_that_is_not_toml_is_refused_without_quoting_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)

    said = problems(config_file=file)

    assert said[0].startswith(f"{file}: {reason}")
    assert "canary" not in said[0].replace(str(file), "")


def test_a_folder_is_not_a_settings_file(tmp_path: Path) -> None:
    assert problems(config_file=tmp_path)[0].startswith(f"{tmp_path}: cannot be read: ")


@given(st.binary(max_size=200))
def test_no_file_makes_loading_fail_in_another_way(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.toml")
        file.write_bytes(content)
        try:
            load({}, config_file=file)
        except ConfigurationError:
            return


# --- what does not fit together -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "key", "reason"),
    [
        (
            {"SIDEKEY_UPSTREAM": "http://gw.example/v1"},
            "environment: SIDEKEY_UPSTREAM",
            "http://gw.example would carry the key in the clear: use https:// or set allow_insecure_upstream",
        ),
        (
            {"SIDEKEY_UPSTREAM": "http://localhost:8484"},
            "environment: SIDEKEY_UPSTREAM",
            "http://localhost:8484 is sidekey's own listener 127.0.0.1:8484",
        ),
        (
            {"SIDEKEY_UPSTREAM": "http://localhost:8485"},
            "environment: SIDEKEY_UPSTREAM",
            "http://localhost:8485 is sidekey's own listener 127.0.0.1:8485",
        ),
        (
            {"SIDEKEY_CLIENT_KEY_REQUIRED": "no", "SIDEKEY_LISTEN": "8484,0.0.0.0:9000"},
            "environment: SIDEKEY_CLIENT_KEY_REQUIRED",
            "others can reach 0.0.0.0:9000: clients must show a key there",
        ),
        (
            {"SIDEKEY_CLIENT_KEY_REQUIRED": "no", "SIDEKEY_LISTEN": "8484,unix:/run/s?mode=0660"},
            "environment: SIDEKEY_CLIENT_KEY_REQUIRED",
            "others can reach unix:/run/s?mode=0660: clients must show a key there",
        ),
        (
            {"SIDEKEY_LISTEN": "8484,https://0.0.0.0:8443"},
            "environment: SIDEKEY_LISTEN",
            "https://0.0.0.0:8443 needs a certificate, and there is no tls_certificate",
        ),
        (
            {"SIDEKEY_TLS_CLIENT_CA": "ca.pem"},
            "environment: SIDEKEY_TLS_CLIENT_CA",
            "there is no tls_certificate",
        ),
        (
            {"SIDEKEY_LISTEN": "8484,https://127.0.0.1:8484", "SIDEKEY_TLS_CERTIFICATE": "cert.pem"},
            "environment: SIDEKEY_LISTEN",
            "127.0.0.1:8484 is there twice",
        ),
        (
            {"SIDEKEY_LISTEN": "unix:/run/s", "SIDEKEY_ADMIN_LISTEN": "unix:/run/s?mode=0666"},
            "environment: SIDEKEY_ADMIN_LISTEN",
            "unix:/run/s is where clients connect",
        ),
        (
            {"SIDEKEY_LISTEN": "8485"},
            "`admin_listen`",
            "127.0.0.1:8485 is where clients connect",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    environ: dict[str, str], key: str, reason: str
) -> None:
    assert problems(environ=environ) == [f"{key} cannot be used: {reason}."]


def test_a_unix_socket_of_this_user_alone_may_do_without_a_client_key() -> None:
    load({"SIDEKEY_CLIENT_KEY_REQUIRED": "no", "SIDEKEY_LISTEN": "unix:/run/s"})


def test_a_flag_is_named_as_it_is_typed() -> None:
    said = problems(flags={"client_key_required": False, "listen": ["0.0.0.0:1"]})

    assert said[0].startswith("command line: --no-client-key cannot be used: ")


def test_what_fits_together_is_no_contradiction() -> None:
    assert contradictions(Settings()) == ()
    assert contradictions(Settings(client_key_required=False)) == ()
    free = (Address("127.0.0.1", 0),)
    assert contradictions(Settings(listen=free, admin_listen=free)) == ()


# --- the client key -------------------------------------------------------------------------------------


def test_a_client_key_is_taken_from_the_environment() -> None:
    key = load({"SIDEKEY_CLIENT_KEY": KEY}).client_key

    assert key == Secret(KEY)
    assert load({}).client_key is None


def test_a_client_key_file_is_followed_through_links_and_its_newline_dropped(tmp_path: Path) -> None:
    real = written(tmp_path / "..data", KEY + "\r\n", "key")
    link = tmp_path / "key"
    link.symlink_to(real)

    assert load({"SIDEKEY_CLIENT_KEY_FILE": str(link)}).client_key == Secret(KEY)


@pytest.mark.parametrize(
    "key", ["k" * 31, "k" * 31 + "\n", "k" * 32 + " k", "k" * 32 + "é", "k" * 32 + "\nk"]
)
@pytest.mark.parametrize("variable", ["SIDEKEY_CLIENT_KEY", "SIDEKEY_CLIENT_KEY_FILE"])
def test_a_client_key_that_cannot_be_one_is_refused_without_showing_it(
    tmp_path: Path, variable: str, key: str
) -> None:
    file = written(tmp_path, key, "key")
    value = key if variable == "SIDEKEY_CLIENT_KEY" else str(file)

    said = problems(environ={variable: value})

    assert said[0].startswith(f"environment: {variable} cannot be used: a client key ")
    assert "kkk" not in said[0]


def test_a_client_key_of_exactly_32_characters_will_do() -> None:
    assert load({"SIDEKEY_CLIENT_KEY": "k" * 32}).client_key == Secret("k" * 32)


def test_a_missing_client_key_file_is_named(tmp_path: Path) -> None:
    said = problems(environ={"SIDEKEY_CLIENT_KEY_FILE": str(tmp_path / "no")})

    assert said == [
        f"environment: SIDEKEY_CLIENT_KEY_FILE cannot be used: {tmp_path / 'no'}: No such file or directory."
    ]


def test_two_client_keys_are_one_too_many(tmp_path: Path) -> None:
    said = problems(environ={"SIDEKEY_CLIENT_KEY": KEY, "SIDEKEY_CLIENT_KEY_FILE": "x"})

    assert "are both set" in said[0]


# --- folders and start-up -------------------------------------------------------------------------------


def test_the_vaults_folder_moves_with_sidekey_home_and_the_sandbox_lives_inside(tmp_path: Path) -> None:
    assert home({"SIDEKEY_HOME": str(tmp_path)}) == tmp_path
    assert home({"SIDEKEY_HOME": str(tmp_path)}, sandbox=True) == tmp_path / "sandbox"
    assert home({}).name == "sidekey"
    assert home({}, sandbox=True) == home({}) / "sandbox"


def test_reading_settings_loads_no_heavy_library() -> None:
    script = "import sys, sidekey_proxy.configuration.config; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert not loaded & {"pydantic", "aiohttp", "keyring", "cryptography", "structlog", "rich", "asyncio"}
