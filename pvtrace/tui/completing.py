"""What Tab offers while a line is typed: commands and their words behind ':', the recording's views and their columns
behind ';'."""

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from pvtrace.model.events import KINDS
from pvtrace.store import bookmarks
from pvtrace.store.reader import TraceReader
from pvtrace.tui import typed
from pvtrace.tui.style import THEMES
from pvtrace.x86.elf import SymbolTable

SQL: Final = ("SELECT", "FROM", "WHERE", "AND", "OR", "LIKE", "BETWEEN", "GROUP BY", "ORDER BY", "LIMIT", "count(*)")
_WORD: Final = re.compile(r"[\w-]*$")


def _completions(document: Document, words: Iterator[str]) -> Iterator[Completion]:
    """Those words that begin as the last one that is typed."""
    found = _WORD.search(document.text_before_cursor)
    typed_ = found[0] if found else ""
    for word in words:
        if word.lower().startswith(typed_.lower()) and word != typed_:
            yield Completion(word, start_position=-len(typed_))


class CommandWords(Completer):
    """Commands, kinds of events, bookmarks and symbols."""

    def __init__(self, symbols: SymbolTable, trace: TraceReader) -> None:
        self._symbols = sorted({symbol.name for symbol in symbols.symbols})
        self._trace = trace

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        del complete_event
        yield from _completions(document, self._among(document.text_before_cursor))

    def _among(self, before: str) -> Iterator[str]:
        name, space, _ = before.partition(" ")
        if not space:
            yield from typed.names()
        elif name in ("filter", "events", "next", "prev"):
            yield from sorted({info.family for info in KINDS.values()} | {info.name for info in KINDS.values()})
        elif name in ("goto", "run", "lastwrite"):
            yield from (item.name for item in bookmarks.every(self._trace))
            yield from self._symbols
        elif name == "follow":
            yield from ("on", "off")
        elif name == "theme":
            yield from THEMES


class SqlWords(Completer):
    """Views, their columns, and the words of SQL that are used most."""

    def __init__(self, trace: TraceReader) -> None:
        self._trace = trace

    @cached_property
    def _words(self) -> tuple[str, ...]:
        views = [row[0] for row in self._trace.rows("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name")]
        sql = "SELECT DISTINCT name FROM pragma_table_info(?)"
        columns = {row[0] for view in views for row in self._trace.rows(sql, (view,))}
        return (*SQL, *views, *sorted(columns))

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        del complete_event
        if document.text_before_cursor.strip():
            yield from _completions(document, iter(self._words))
