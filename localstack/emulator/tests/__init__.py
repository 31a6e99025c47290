"""Tests of the emulator: HTTP requests to a real emulator with real processes.

cd localstack/emulator && python3 -m unittest
"""
