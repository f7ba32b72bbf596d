"""Open and done tasks in task lists of Markdown: ``- [ ]`` and ``- [x]``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# TASKLIST.md, PROJECT-TASKLIST-2.md, TODO.md, todo-later.md, tasks.md, tasks-42.md
_LIST = re.compile(r".*tasklist.*\.md|(?:todos?|tasks?)(?:[-_. ].*)?\.md", re.IGNORECASE)
_TASK = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[([ xX])\][ \t]+(\S.*)")
_FENCE = re.compile(r"[ \t>]*(`{3,}|~{3,})")
_MOST_CHARS = 300


@dataclass(frozen=True, slots=True)
class Task:
    """A task on its line, from 1."""

    title: str
    is_done: bool
    line: int


@dataclass(frozen=True, slots=True)
class TaskList:
    """A file with tasks; ``path`` from the project root on."""

    path: str
    tasks: tuple[Task, ...]

    def titles(self, *, done: bool) -> list[str]:
        return [task.title for task in self.tasks if task.is_done is done]


def is_task_list(name: str) -> bool:
    """Whether a file of this name is looked into."""
    return _LIST.fullmatch(name) is not None


def tasks_in(text: str) -> tuple[Task, ...]:
    """The tasks of a document, in order; what stands in a code fence is none."""
    found, fence = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence):
                fence = ""
        elif mark:
            fence = mark[1]
        elif task := _TASK.match(line):
            title = task[2].strip()
            if len(title) > _MOST_CHARS:
                title = title[:_MOST_CHARS] + "…"
            found.append(Task(title, task[1] != " ", number))
    return tuple(found)
