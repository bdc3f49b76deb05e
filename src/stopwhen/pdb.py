"""pdb with watch commands: `python -m stopwhen.pdb`, `PYTHONBREAKPOINT=stopwhen.pdb.set_trace`."""

from __future__ import annotations

from stopwhen.frontends.pdb_command import Pdb, main, pm, post_mortem, set_trace, stop_at

__all__ = ["Pdb", "main", "pm", "post_mortem", "set_trace", "stop_at"]

if __name__ == "__main__":
    main()
