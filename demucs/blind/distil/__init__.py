"""Training data of songs without stems: a teacher separates, what is good enough is kept.

Two stages. `scoring` judges every excerpt of every file and writes a file of each; `writing`
selects among all of them, separates what was selected once more, and writes it as a dataset with a
manifest. Both resume where they stopped, and are shared among processes that know nothing of each
other.
"""
