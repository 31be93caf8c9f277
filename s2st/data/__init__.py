"""Preprocessing of text into a store of word ids, and loading of batches from the store."""
