"""A page drawn for people: as one self-contained HTML file, or as text. Nothing here is needed to answer a request."""

from online.drawing.as_html import draw_change, draw_page
from online.drawing.as_text import print_page, text_page
from online.drawing.differences import Differences, page_differences

__all__ = ["Differences", "draw_change", "draw_page", "page_differences", "print_page", "text_page"]
