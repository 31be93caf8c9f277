"""Lexical translation tables: IBM model 1, and files of word translations."""
