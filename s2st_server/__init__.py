"""The server of `s2st serve` and the page of `s2st explain`, on top of the Python interface.

The package calls `s2st.load` and the methods of `Model`, and nothing below them. Starlette and
uvicorn (extra `s2st[serve]`) are imported when a server starts.
"""
