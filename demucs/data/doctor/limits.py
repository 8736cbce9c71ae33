"""Every threshold of the doctor, each with its reason.

dBFS are decibels against full scale (1.0); levels are mean squares.
"""

# Levels of one file.
SILENCE_DBFS = -60.0  # a frame below is silent: under the noise of a quiet room in a recording
MOSTLY_SILENT = 0.9  # share of silent frames; a part that rests longer teaches next to nothing
FULL_SCALE = 32766.5 / 32768.0  # the largest 16-bit step and all above; -1 and 32767 alike
CLIP_RUN = 3  # samples in a row at full scale: one or two are a peak that was normalised
DC_LIMIT = 0.005  # mean of a channel, -46 dBFS: kicks that push one way only reach 0.002
SAME_CHANNELS_DB = -80.0  # difference of channels against the sound: below is rounding or dither

# Files of one track together.
SUM_WARNING_DB = -40.0  # residual of mixture minus stems: rounding of integers is below -70
SUM_WARNING_LOSSY_DB = -12.0  # streams of a .stem.mp4 are coded apart: stempeg's example has -15
SUM_ERROR_DB = -10.0  # a tenth of the mixture's energy: something is missing, added or shifted
SUM_PEAK = 0.1  # one sample of the residual: a click, as of an integer that wrapped around
SUM_CREST_DB = 30.0  # peak over level of a residual that is clicks: noise has about 15
SUM_WRAP = 1.5  # nothing else comes near 2, which is how far an integer falls that wraps around
DUPLICATE_DB = -40.0  # what is left of a stem once a gain times another is taken off

# Bleed: how much of a stem's quiet moments is a fixed filter of another stem.
BLEED_SHARE = 0.4  # of their energy; independent parts of demo songs stay under 0.05
BLEED_BELOW_DB = 3.0  # quiet is so far below the stem's mean; with 12, loud bleed hides itself
BLEED_FLOOR_DBFS = -80.0  # below is dither and rounding
BLEED_FRAMES = 60  # (6 s) fewer let chance look like likeness: its share is about 1 / frames
BLEED_BAND_HZ = (100.0, 10000.0)  # below, hum and rumble are alike everywhere

# Swapped stems: distance in dB between a stem's spectral profile and the dataset's for a name.
SWAP_TRACKS = 6  # fewer give no profile to compare with
SWAP_RATIO = 0.6  # the other name's profile must be nearer than this times its own
SWAP_SPREAD = 1.5  # and its own farther than this times what is usual for the name
SWAP_FIT = 1.5  # and the other's not farther than this times what is usual for that name

# Fingerprints of the audio (pairs of spectral peaks).
MATCH_SHARE = 0.05  # of the shorter one's landmarks at one offset; unlike songs: under 0.03
STEM_SHARE = 0.2  # of a stem, where the mixtures differ: two bass lines of demo songs had 0.09
MATCH_COUNT = 20  # landmarks at one offset: fewer happen by chance in short files
