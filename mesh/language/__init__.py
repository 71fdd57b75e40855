"""What is true of a text in any language: its sentences, its words, which language it is in, and what that is called.

Rules are those of Unicode and of kept libraries (ICU, sentencex, regex, langcodes, py3langid); this package has none of
its own but where a docstring says so. It judges no text. Services, the models' adapters and the measures call it. The
libraries are imported by the first call that needs them: a start does not pay for them.
"""
