"""The environment and .env → Settings."""

from pathlib import Path

import pytest

from studio.errors import SettingsError
from studio.settings import Settings


def test_defaults_start_in_the_directory(tmp_path: Path) -> None:
    settings = Settings.from_env({}, tmp_path)
    assert settings.model_base_path == tmp_path
    assert settings.outputs == tmp_path / "outputs"
    assert settings.state == tmp_path / "outputs" / ".state"
    assert settings.preset_dirs == ()
    assert (settings.host, settings.port, settings.share) == ("127.0.0.1", 7860, False)
    assert (settings.device, settings.memory_budget) == ("auto", None)
    assert settings.civitai_api_key is None
    assert settings.hf_token is None


def test_environment_goes_over_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=8001\nHOST=0.0.0.0\nOUTPUTS=pictures\n")
    settings = Settings.from_env({"PORT": "8002"}, tmp_path)
    assert (settings.host, settings.port) == ("0.0.0.0", 8002)
    assert settings.outputs == tmp_path / "pictures"


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HF_TOKEN=\n")
    settings = Settings.from_env({"PORT": "", "MODEL_BASE_PATH": ""}, tmp_path)
    assert settings.port == 7860
    assert settings.model_base_path == tmp_path
    assert settings.hf_token is None


def test_state_follows_outputs_until_it_is_set(tmp_path: Path) -> None:
    assert Settings.from_env({"OUTPUTS": "a"}, tmp_path).state == tmp_path / "a" / ".state"
    both = Settings.from_env({"OUTPUTS": "a", "STATE_DIR": "b"}, tmp_path)
    assert both.state == tmp_path / "b"


def test_preset_folders_are_separated_by_colons(tmp_path: Path) -> None:
    settings = Settings.from_env({"PRESETS": f"mine:{tmp_path / 'theirs'}:"}, tmp_path)
    assert settings.preset_dirs == (tmp_path / "mine", tmp_path / "theirs")


def test_links_may_lead_into_more_folders(tmp_path: Path) -> None:
    settings = Settings.from_env({"LINKED_FOLDERS": f"shared:{tmp_path / 'other'}"}, tmp_path)
    assert settings.linked_folders == (tmp_path / "shared", tmp_path / "other")


def test_a_home_folder_is_expanded(tmp_path: Path) -> None:
    settings = Settings.from_env({"MODEL_BASE_PATH": "~/models"}, tmp_path)
    assert settings.model_base_path == Path.home() / "models"


@pytest.mark.parametrize("value", ["1", "true", "YES", "on"])
def test_share_is_on(tmp_path: Path, value: str) -> None:
    assert Settings.from_env({"SHARE": value}, tmp_path).share


def test_memory_budget_is_in_gigabytes(tmp_path: Path) -> None:
    assert Settings.from_env({"MEMORY_BUDGET_GB": "1.5"}, tmp_path).memory_budget == 1_500_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("SHARE", "maybe"),
        ("MEMORY_BUDGET_GB", "much"),
        ("MEMORY_BUDGET_GB", "0"),
        ("MEMORY_BUDGET_GB", "-3"),
        ("MEMORY_BUDGET_GB", "nan"),
        ("MEMORY_BUDGET_GB", "inf"),
    ],
)
def test_a_bad_value_is_named_with_its_variable(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({name: value}, tmp_path)
    assert name in caught.value.message
    assert value in caught.value.message
    assert caught.value.way_out


def test_a_run_fetches_what_it_misses_unless_it_is_a_space(tmp_path: Path) -> None:
    assert Settings.from_env({}, tmp_path).runs_may_fetch
    assert not Settings.from_env({"SPACE_ID": "someone/space"}, tmp_path).runs_may_fetch
    for public in ({"SHARE": "1"}, {"HOST": "0.0.0.0"}, {"HOST": "studio.example"}):
        assert Settings.from_env(public, tmp_path).is_public
        assert not Settings.from_env(public, tmp_path).runs_may_fetch
    for own in ({}, {"HOST": "localhost"}, {"HOST": "::1"}, {"HOST": "127.0.0.2"}):
        assert not Settings.from_env(own, tmp_path).is_public
    said = {"SPACE_ID": "someone/space", "AUTO_DOWNLOAD": "1"}
    assert Settings.from_env(said, tmp_path).runs_may_fetch
    assert not Settings.from_env({"AUTO_DOWNLOAD": "0"}, tmp_path).runs_may_fetch


def test_public_is_what_is_said(tmp_path: Path) -> None:
    assert Settings.from_env({"PUBLIC": "1"}, tmp_path).is_public
    own = {"PUBLIC": "0", "HOST": "0.0.0.0", "HOSTS": "Studio.home, b", "SPACE_HOST": "x.hf.space"}
    settings = Settings.from_env(own, tmp_path)
    assert not settings.is_public
    assert settings.hosts == ("studio.home", "b", "x.hf.space")
    with pytest.raises(SettingsError, match="PUBLIC"):
        Settings.from_env({"PUBLIC": "0", "SHARE": "1"}, tmp_path)


def test_the_sites_are_asked_over_https_but_on_this_machine(tmp_path: Path) -> None:
    settings = Settings.from_env({"CIVITAI_BASE_URL": "http://127.0.0.1:9000/"}, tmp_path)
    assert settings.civitai_url == "http://127.0.0.1:9000"
    assert settings.hf_endpoint == "https://huggingface.co"
    for name in ("CIVITAI_BASE_URL", "HF_ENDPOINT"):
        for value in (
            "http://civitai.com",
            "civitai.com",
            "file:///x",
            "https://u:p@x.y",
            "https:",
        ):
            with pytest.raises(SettingsError, match=name):
                Settings.from_env({name: value}, tmp_path)


def test_hosts_sizes_and_the_local_presets(tmp_path: Path) -> None:
    said = {
        "DOWNLOAD_HOSTS": "a.example, .b.example",
        "MAX_DOWNLOAD_GB": "2",
        "HF_HUB_OFFLINE": "1",
    }
    settings = Settings.from_env(said | {"LOCAL_PRESETS": "mine.yaml"}, tmp_path)
    assert settings.download_hosts == ("a.example", ".b.example")
    assert settings.max_download == 2_000_000_000
    assert settings.offline
    assert settings.local_presets == tmp_path / "mine.yaml"


def test_keys_never_show(tmp_path: Path) -> None:
    settings = Settings.from_env({"HF_TOKEN": "sesame-1", "CIVITAI_API_KEY": "sesame-2"}, tmp_path)
    assert settings.hf_token == "sesame-1"
    assert "sesame" not in repr(settings)
    assert "sesame" not in str(settings)


@pytest.mark.parametrize("name", ["HF_TOKEN", "CIVITAI_API_KEY"])
def test_keys_are_stripped_and_checked_and_no_part_is_echoed(tmp_path: Path, name: str) -> None:
    key = Settings.from_env({name: " sesame-1 \n"}, tmp_path)
    assert "sesame-1" in (key.hf_token, key.civitai_api_key)
    for wrong in ("sesame\n1", "sesame 1", "sesamé", "ses\0ame"):
        with pytest.raises(SettingsError) as caught:
            Settings.from_env({name: wrong}, tmp_path)
        assert name in caught.value.message
        assert "ses" not in caught.value.message + caught.value.way_out


def test_a_space_says_where_to_listen(tmp_path: Path) -> None:
    space = {"GRADIO_SERVER_NAME": "0.0.0.0"}
    assert Settings.from_env(space, tmp_path).host == "0.0.0.0"
    assert Settings.from_env(space | {"HOST": "127.0.0.2"}, tmp_path).host == "127.0.0.2"


def test_a_studio_without_its_presets_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studio.settings.BUILT_IN_PRESETS", tmp_path / "presets")
    with pytest.raises(SettingsError) as raised:
        Settings.from_env({}, tmp_path)
    assert raised.value.way_out is not None
    assert "pip install -e ." in raised.value.way_out
