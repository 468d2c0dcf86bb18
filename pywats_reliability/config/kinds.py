"""The kinds of values that settings have: each a type for the reader, limits for pydantic, and its rule in words.

* Strict (H4.1): a truth value is no number, a text that looks like a number is a text, NaN and the infinities are no
  numbers. A whole number is taken where a number is asked for.
* Every number has limits on both sides, inclusive, so that none can overflow a timer, a socket call or another reader
  of the file, and so that a tool can compute the first bad value from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from pywats_reliability.config import texts

INTEGER_MAX = 2**31 - 1
BYTES_MAX = 2**53 - 1
SECONDS_MAX = 31_536_000  # A year.
_HIDDEN: Any = {"is_secret": True}

Count = Annotated[int, Field(ge=0, le=INTEGER_MAX, description="a whole number")]
PositiveCount = Annotated[int, Field(ge=1, le=INTEGER_MAX, description="a whole number")]
Attempts = Annotated[int, Field(ge=0, le=100, description="a whole number")]
Uploads = Annotated[int, Field(ge=1, le=100, description="a whole number")]
Priority = Annotated[int, Field(ge=1, le=10, description="a whole number")]
Days = Annotated[int, Field(ge=0, le=36_500, description="a whole number of days")]
Bytes = Annotated[int, Field(ge=0, le=BYTES_MAX, description="a whole number of bytes")]
Connections = Annotated[int, Field(ge=1, le=65_535, description="a whole number")]
Port = Annotated[int, Field(ge=1, le=65_535, description="a port, a whole number")]
PortOrOff = Annotated[int, Field(ge=0, le=65_535, description="a port or 0 for off, a whole number")]
WholeSeconds = Annotated[int, Field(ge=0, le=SECONDS_MAX, description="a whole number of seconds")]
PositiveWholeSeconds = Annotated[int, Field(ge=1, le=SECONDS_MAX, description="a whole number of seconds")]
Seconds = Annotated[float, Field(ge=0, le=SECONDS_MAX, description="a number of seconds")]
PositiveSeconds = Annotated[float, Field(ge=0.001, le=SECONDS_MAX, description="a number of seconds")]
Percent = Annotated[float, Field(ge=0, le=100, description="a number")]
Share = Annotated[float, Field(ge=0, le=1, description="a number")]

Line = Annotated[
    str, Field(max_length=1000, description="one line of at most 1000 characters, not only blanks"),
    AfterValidator(texts.line),
]
ShortLine = Annotated[
    str, Field(max_length=100, description="one line of at most 100 characters, not only blanks"),
    AfterValidator(texts.line),
]
Name = Annotated[
    str, Field(min_length=1, max_length=100, description="one line of 1 to 100 characters, not only blanks"),
    AfterValidator(texts.line),
]
Prose = Annotated[
    str, Field(max_length=10_000, description="at most 10000 characters, no control character but tab and line break"),
    AfterValidator(texts.prose),
]
InstanceId = Annotated[
    str,
    Field(min_length=1, max_length=64, description="1 to 64 characters that may stand in a file name (none of"
          ' / \\ : * ? " < > |, no control character, no blank at either end, no leading dot)'),
    AfterValidator(texts.file_name_part),
]
SchemaVersion = Annotated[
    str, Field(description="a version from '1.0' to '2.x' (a newer major version needs a newer service)"),
    AfterValidator(texts.lifted_version),
]
PathText = Annotated[
    str, Field(max_length=4096, description="a path of at most 4096 characters without control characters, or empty"),
    AfterValidator(texts.line),
]
NeededPath = Annotated[
    str, Field(min_length=1, max_length=4096, description="a path of 1 to 4096 characters without control characters"),
    AfterValidator(texts.line),
]
SocketPath = Annotated[
    str,
    Field(description=f"a path of at most {texts.SOCKET_PATH_BYTES_MAX} bytes (what a socket address holds), or empty"),
    AfterValidator(texts.socket_path),
]
Host = Annotated[str, Field(max_length=253, description="a host name or address, or empty"), AfterValidator(texts.host)]
NeededHost = Annotated[
    str, Field(min_length=1, max_length=253, description="a host name or address"), AfterValidator(texts.host),
]
Url = Annotated[
    str, Field(description="an http(s) URL with a host and no user or password in it, or empty"),
    AfterValidator(texts.url),
]
BaseUrl = Annotated[
    str, Field(description="an http(s) URL with a host and no user, password, query or fragment in it, or empty"),
    AfterValidator(texts.base_url),
]
Cron = Annotated[
    str,
    Field(max_length=200, pattern=r"^[0-9A-Za-z*/,?#-]+( +[0-9A-Za-z*/,?#-]+){4}$",
          description="five cron fields such as '0 6 * * 1-5'"),
]
HeaderName = Annotated[
    str, Field(max_length=200, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
               description="the name of an HTTP header, or empty"),
]
Patterns = Annotated[tuple[Name, ...], Field(max_length=1000, description="a list of file name patterns")]

Token = Annotated[
    str,
    Field(max_length=8192, json_schema_extra=_HIDDEN,
          description="the token itself (not its mask) in visible ASCII without blanks, or empty"),
    AfterValidator(texts.token),
]
Password = Annotated[
    str,
    Field(max_length=1000, json_schema_extra=_HIDDEN,
          description="the password itself (not its mask) without control characters, or empty"),
    AfterValidator(texts.secret),
]
HeaderSecret = Annotated[
    str,
    Field(max_length=8192, json_schema_extra=_HIDDEN,
          description="the header's value itself (not its mask) in visible ASCII, or empty"),
    AfterValidator(texts.header_value),
]

StationNameSource = Literal["hostname", "config", "manual"]
SerialNumberMode = Literal["Manual Entry", "Auto-increment", "Barcode Scanner", "External Source"]
ProxyMode = Literal["none", "system", "manual"]
ApiAuthType = Literal["None", "API Key", "Bearer Token", "Basic Auth"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
QueueFullAction = Literal["reject", "oldest_first", "pause"]
ConverterType = Literal["file", "folder", "scheduled"]
PostAction = Literal["move", "delete", "archive", "keep"]
