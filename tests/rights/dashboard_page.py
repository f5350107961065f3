"""A page of the dashboard over its socket, as Streamlit's own script in a browser asks for it, without a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import uuid4

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

FIRST = "overview"  # the page without an address of its own


@dataclass
class Drawn:
    """What a page showed in one run: the ways to other pages, its words, the keys of buttons that can be pressed,
    pictures, files to ask for.
    """

    ways: set[str] = field(default_factory=set)  # the names of pages in the navigation
    words: str = ""
    buttons: dict[str, str] = field(default_factory=dict)  # the widget's id by its key
    pictures: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)  # the id to ask for it with, by the button's key

    def note(self, element: Element) -> None:
        """Take one element down."""
        kind = element.WhichOneof("type")
        if kind == "html" and not element.html.body.startswith("<style>"):
            self.words += element.html.body + "\n"
        elif kind == "markdown":
            self.words += element.markdown.body + "\n"
        elif kind == "alert":
            self.words += element.alert.body + "\n"
        elif kind == "button" and not element.button.disabled:
            self.buttons[key_of(element.button.id)] = element.button.id
        elif kind == "imgs":
            self.pictures += [one.url for one in element.imgs.imgs]
        elif kind == "download_button" and not element.download_button.disabled:
            self.files[key_of(element.download_button.id)] = element.download_button.deferred_file_id


def key_of(widget: str) -> str:
    """The key a page gave to a widget; its whole id where it gave none."""
    *_, key = widget.split("-", 2)
    return key if key != "None" else widget


@dataclass
class Page:
    """An open page; Streamlit tells its name with the first run."""

    socket: ClientConnection
    name: str = ""

    def draw(self, name: str, *, pressed: str | None = None, **address: str) -> Drawn:
        """Run the page `name`, with the button `pressed` (a widget's id) where one is. Raises ConnectionClosed."""
        asked = BackMsg()
        asked.rerun_script.page_name = "" if name == FIRST else name
        asked.rerun_script.query_string = urlencode({"live": "false"} | address)
        if pressed is not None:
            widget = asked.rerun_script.widget_states.widgets.add()
            widget.id, widget.trigger_value = pressed, True
        self.socket.send(asked.SerializeToString())
        drawn = Drawn()
        for said in self._heard():
            kind = said.WhichOneof("type")
            if kind == "new_session":
                self.name = said.new_session.initialize.session_id or self.name
            if kind == "navigation":
                shown = [one for one in said.navigation.app_pages if not one.is_hidden]
                drawn.ways = {one.url_pathname or FIRST for one in shown}
            if kind == "delta" and said.delta.WhichOneof("type") == "new_element":
                drawn.note(said.delta.new_element)
            if kind == "script_finished":
                return drawn
        return drawn

    def file(self, placeholder: str) -> str | None:
        """The address of a file that is made at a click; None where it was not made."""
        asked = BackMsg()
        asked.backend_operation_request.request_id = uuid4().hex
        asked.backend_operation_request.session_id = self.name
        asked.backend_operation_request.deferred_file.file_id = placeholder
        self.socket.send(asked.SerializeToString())
        for said in self._heard():
            if said.WhichOneof("type") == "backend_operation_response":
                return said.backend_operation_response.deferred_file.url or None
        return None

    def _heard(self) -> Iterator[ForwardMsg]:
        while True:
            said = ForwardMsg()
            said.ParseFromString(bytes(self.socket.recv(timeout=30)))
            yield said


@contextlib.contextmanager
def opened(
    url: str, headers: Mapping[str, str], *, earlier: str = "", origin: str | None = None
) -> Iterator[Page]:
    """A socket of the dashboard at `url`, with these headers; `earlier` names the page it wants to go on with,
    `origin` the web page it is opened from, the dashboard's own unless given.

    Raises InvalidStatus where it is not let in.
    """
    address = url.replace("http", "ws", 1) + "/_stcore/stream"
    protocols = ["streamlit", "none", earlier] if earlier else ["streamlit"]
    with connect(
        address,
        additional_headers=dict(headers),
        subprotocols=protocols,
        origin=origin or _origin(url),
        max_size=None,
    ) as socket:
        yield Page(socket)


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3])
