"""Results as people read them: one HTML page for one or several runs, with its sounds.

run_files  finds the files of a run: history, evaluation, release, configuration, separated audio
heading, score_tables, curves, song_table   each makes the data of one section of the page
liveliest, separated, sound, pictures   the players: which span of a song, its stems, files
page     renders the data with the template in `page/`
output_folder   writes the folder, whole or not at all
archive  keeps a run among the results of the repository
make     puts them together
"""
