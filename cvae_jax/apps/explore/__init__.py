"""An explorer of trained runs in the browser.

`opened`, `request`, `pictures`, `photo` and `history` return arrays and text
and need no browser. The panels are the page itself.
"""
