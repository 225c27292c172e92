"""An explorer of trained runs in the browser.

`opened`, `request`, `pictures`, `photo` and `history` answer in arrays and
text; they need no browser. The panels beside them are the page.
"""
