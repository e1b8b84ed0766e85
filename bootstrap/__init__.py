"""Sets up a working .venv on a bare Debian or Ubuntu machine with python3 and make.

`python3 -m bootstrap run COMMAND` installs what serving needs, becomes COMMAND, and
compiles llama.cpp beside it. `test` installs everything and waits for llama.cpp. Each
step checks first and does only what is missing. It handles no models, servers or
registries: pip is used as this machine configures it.
"""
