"""Tests of the emulator, through HTTP, on a real emulator with real processes.

cd localstack && python3 -m unittest
"""
