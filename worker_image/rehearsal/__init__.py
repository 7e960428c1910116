"""The rehearsal agent: a deterministic offline coder for demos and tests; no model, no network.

It understands a narrow kind of sentence ("an inventory of books with title, author and year",
"add a publisher field") and refuses every other with a typed reason. It writes the code of a
resource, never a bot, a web page or anything else beside the data service; what a sentence asks
for beyond that is listed in its summary.
"""
