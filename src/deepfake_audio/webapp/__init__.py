"""
The page: a recording is dropped on it, and the answer is seen.

- ``server``     starts Streamlit with settings that keep to this machine
- ``page``       the page itself, a script that Streamlit runs anew for each visitor and at each change
- ``results``    what the page shows, without Streamlit: from what was uploaded to verdict, analysis and explanation
- ``words``      what the page says of them
- ``pictures``   what it draws
- ``example.flac``  the recording to try it with, a copy of ``tests/data/synthetic.flac``: made by Flite, so nobody is
  heard in it

What one visitor uploads is in the memory of that visitor's session alone. It is on disk only while it is decoded: in a
file that nobody else can read, under a name that has nothing of the recording's own.
"""
