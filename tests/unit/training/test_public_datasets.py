"""Datasets by the public Demucs' names: their folders here, and the share of the second one."""

from pathlib import Path

import pytest
from training_support import plain_config, tiny_config, write_songs

from demucs.errors import ConfigError, DatasetError
from demucs.release.provenance import provenance_of
from demucs.training import find_songs, read_config
from demucs.training.config.public_datasets import VARIABLES, check_named, local_folder

CONF = Path(__file__).resolve().parents[3] / "conf"
NAMED = {
    "extra44": ["DEMUCS_EXTRA44"],
    "extra_test": ["DEMUCS_EXTRA_TEST"],
    "extra_mmi_goodclean": ["DEMUCS_EXTRA44", "DEMUCS_MMI_GOODCLEAN"],
    "auto_mus": ["DEMUCS_AUTO_MUS"],
    "auto_extra_test": ["DEMUCS_AUTO_EXTRA_TEST"],
    "aetl": ["DEMUCS_AETL"],
    "sdx23_bleeding": ["DEMUCS_SDX23_BLEEDING"],
    "sdx23_labelnoise": ["DEMUCS_SDX23_LABELNOISE"],
}


@pytest.mark.parametrize("dset", NAMED)
def test_each_folder_comes_from_the_variable_that_its_file_names(
    dset: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    comment = (CONF / "dset" / f"{dset}.yaml").read_text()
    for variable in NAMED[dset]:
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert f"${variable}" in comment
    plain = plain_config(f"dset={dset}", "dset.use_musdb=false")
    run = read_config(plain)
    assert list(run.options.dset.roots) == [str(tmp_path / name) for name in NAMED[dset]]
    assert run.plain["dset"]["wav"] in VARIABLES  # what the signature is made of


@pytest.mark.parametrize("dset", NAMED)
def test_an_unset_variable_is_named_with_its_remedy(
    dset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    run = read_config(plain_config(f"dset={dset}"))
    with pytest.raises(DatasetError) as caught:
        find_songs(run)
    for variable in NAMED[dset]:
        assert f"{variable}=FOLDER" in str(caught.value)


@pytest.mark.parametrize("dset", NAMED)
def test_a_release_says_where_the_test_songs_were_trained_on(dset: str) -> None:
    config = plain_config(f"dset={dset}")
    seen = provenance_of({"config": config}, "")["test_set_seen"]
    if dset in ("extra_test", "auto_extra_test", "aetl"):
        assert seen == f"yes: dset={dset} has MUSDB18's test songs"
    else:
        assert seen == "no"


def test_folders_of_ones_own_are_left_alone(tmp_path: Path) -> None:
    assert local_folder(None, {}) is None
    assert local_folder(str(tmp_path), {"DEMUCS_AETL": "elsewhere"}) == str(tmp_path)
    check_named(str(tmp_path), str(tmp_path / "not there"))


def test_wav2_has_its_share_of_an_epoch_by_repeating_the_others(tmp_path: Path) -> None:
    first = write_songs(tmp_path / "first", train=2, valid=1)
    second = write_songs(tmp_path / "second", train=4, valid=2)

    def songs(*more: str) -> tuple[int, int, int]:
        config = tiny_config(first, f"dset.wav2={second}", *more)
        found = find_songs(read_config(config))
        return len(found.training.tracks), len(found.training), len(found.valid)

    tracks, segments, valid = songs()
    assert (tracks, valid) == (6, 3)
    each = segments // tracks
    assert songs("+dset.wav2_valid=false") == (tracks, segments, 1)
    assert songs("+dset.wav2_valid=true") == (tracks, segments, 3)
    # a quarter: 4 songs of it beside 12 of the others, each of the 2 six times
    assert songs("+dset.wav2_weight=0.25") == (16, 16 * each, 3)
    assert songs("+dset.wav2_weight=0.9") == (tracks, segments, 3)


@pytest.mark.parametrize("weight", [0, 1, -0.5])
def test_a_share_that_cannot_be_is_refused(tmp_path: Path, weight: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        read_config(tiny_config(tmp_path, f"+dset.wav2_weight={weight}"))
