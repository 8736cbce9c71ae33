"""Results as people read them: one HTML page for one or several runs, with its sounds.

sources  finds what a run left: history, evaluation, release, configuration, separated audio
facts, summary, curves, songs   each makes the data of one section of the page
choice, excerpts, separated, sound, pictures   the players: which songs, which stretch, files
page     renders the data with the template in `page/`
place    writes the folder, whole or not at all
make     puts them together
"""
