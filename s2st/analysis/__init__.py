"""Layer 8, analysis: BLEU by kind of sentence, attention, states, figures and HTML reports."""
