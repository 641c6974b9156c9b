"""What is said over HTTP: the questions that the service takes, each checked once, and the form of its answers."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import AwareDatetime, BaseModel, Field

from mlsys_lib.desk import Answer


def _text(value: object) -> object:
    if not (isinstance(value, str) and value[4:5] == "-"):  # digits alone would be seconds of 1970
        raise ValueError("write a moment as text with its offset, such as 2013-04-22T15:30:00Z")
    return value


Minute = Annotated[
    AwareDatetime,
    pydantic.BeforeValidator(_text, json_schema_input_type=AwareDatetime),
    Field(description="with its offset from UTC"),
]


class ById(BaseModel, extra="forbid"):
    """A flight in the timetable."""

    flight_id: Annotated[
        str,
        Field(
            pattern=r"^\d{4}-\d\d-\d\d/[A-Z0-9]{2}\d{1,4}/(EWR|JFK|LGA)$",
            description="local date, airline and number, origin",
        ),
    ]


class BySchedule(BaseModel, extra="forbid"):
    """Any flight, as its airline publishes it."""

    carrier: Annotated[str, Field(pattern="^[A-Z0-9]{2}$")]
    flight: Annotated[int, Field(strict=True, ge=1, le=9999, description="its number")]
    origin: Literal["EWR", "JFK", "LGA"]
    dest: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    distance: Annotated[int, Field(strict=True, ge=10, le=6000, description="miles")]
    sched_dep: Minute
    sched_arr: Minute

    @pydantic.model_validator(mode="after")
    def _flies_forward(self) -> "BySchedule":
        minutes = (self.sched_arr - self.sched_dep).total_seconds() / 60
        if not 10 <= minutes <= 24 * 60:
            raise ValueError(
                f"sched_arr is {minutes:g} minutes after sched_dep; 10 to 1440 are possible. "
                "Give both with their offset from UTC"
            )
        if self.dest == self.origin:
            raise ValueError(f"dest is {self.dest}, as origin is; give the airport where it lands")
        return self


Flight = Annotated[
    Annotated[ById, pydantic.Tag("id")] | Annotated[BySchedule, pydantic.Tag("schedule")],
    pydantic.Discriminator(
        lambda body: "id" if isinstance(body, dict) and "flight_id" in body else "schedule"
    ),
]


class Release(BaseModel, extra="forbid"):
    """A model file in the service's folder, and the hash that whoever released it wrote down."""

    file: Annotated[str, Field(pattern=r"^[\w-]{1,100}\.zip$", examples=["late-0123456789ab.zip"])]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{12,64}$")]


class Problem(BaseModel):
    """What went wrong, and what to do."""

    detail: str | list[dict[str, Any]]


class State(BaseModel):
    """Whether there is a state to answer from, and what it stands on."""

    ready: bool
    detail: str
    now: AwareDatetime
    model: str | None


FLIGHT: pydantic.TypeAdapter[ById | BySchedule] = pydantic.TypeAdapter(Flight)
ANSWER = pydantic.TypeAdapter(Answer)


def documented(*problems: int, schema: dict[str, Any], **examples: Any) -> dict[str, Any]:
    """What the page of docs says about a route that reads its body by itself.

    Parameters
    ----------
    *problems : int
        The statuses of its answers that are no success.
    schema : dict
        The JSON schema of its body.
    **examples : dict
        Bodies to try, by name.

    Returns
    -------
    dict
        Keyword arguments for FastAPI's decorators.

    Examples
    --------
    >>> documented(404, schema={"type": "string"})["responses"]
    {404: {'model': <class 'mlsys_lib.schemas.Problem'>}}
    """
    tried = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": schema, "examples": tried}}
    return {
        "responses": {status: {"model": Problem} for status in problems},
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
    }


# They leave after the default end of the replay: whoever tries the page is never too late.
_ROUTE = {"carrier": "DL", "flight": 1685, "origin": "LGA", "dest": "ATL", "distance": 762}
_TIMES = {"sched_dep": "2013-04-30T01:00:00Z", "sched_arr": "2013-04-30T03:40:00Z"}
PREDICT = documented(
    *(404, 413, 422, 503),
    schema={"oneOf": [ById.model_json_schema(), BySchedule.model_json_schema()]},
    by_its_id={"flight_id": "2013-04-29/MQ4660/LGA"},
    by_its_schedule=_ROUTE | _TIMES,
)
MODEL = documented(403, 404, 409, 413, 422, 503, schema=Release.model_json_schema())
