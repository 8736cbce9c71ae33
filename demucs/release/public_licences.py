"""Notes on the licence of public model files, which state none themselves."""

PUBLIC = (
    "not stated with the files; published by Meta for the MIT-licensed public Demucs, trained on "
    "data that is partly for non-commercial use (MUSDB18)"
)
TORCHAUDIO = (
    "not stated with the file; published by Meta for the BSD-licensed torchaudio, trained on data "
    "that is partly for non-commercial use (MUSDB18)"
)
ELSEWHERE = "not stated in the file; see where it was published"
