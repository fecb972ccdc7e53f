"""Tables as CSV for spreadsheets."""

import pandas as pd

from segmenters.plain_text import printable, spreadsheet_safe


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV, with a header and without an index; lines end in a line feed.

    Text that a spreadsheet would compute as a formula is escaped, and control characters are
    removed, since names can come from the unknown author of a run.
    """
    text = [str(one) for one in table if not pd.api.types.is_numeric_dtype(table[one].dtype)]
    safe = {name: table[name].map(_safe) for name in text}
    return table.assign(**safe).to_csv(index=False, lineterminator="\n")


def _safe(value: object) -> object:
    return spreadsheet_safe(printable(value)) if isinstance(value, str) else value
