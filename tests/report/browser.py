"""A headless Chromium for the tests of pages; they are skipped, saying so, where there is none."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND"


@contextmanager
def opened(page: Path, *, phone: bool = False, dark: bool = False) -> Iterator[Any]:
    """The page in a browser that has no network, once it says that it is ready: 1280 x 900, or 390 x 844 on a phone."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its driver here: install the packages chromium and chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.support.wait import WebDriverWait

    options = ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", NO_NETWORK,
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        if phone:  # a window cannot be as narrow
            metrics = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        if dark:
            scheme = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
        driver.get(page.resolve().as_uri())
        WebDriverWait(driver, 60).until(
            lambda d: d.execute_script("return document.documentElement.dataset.ready !== undefined")
        )
        yield driver
        severe = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
        assert not severe, severe
        assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    finally:
        driver.quit()


def settled(driver: Any, script: str, wanted: Any) -> bool:
    """Whether the script comes to return what is wanted, within 30 s: a page draws anew when it is told of a change."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.wait import WebDriverWait

    try:
        return bool(WebDriverWait(driver, 30).until(lambda d: d.execute_script(script) == wanted))
    except TimeoutException:
        return False


def data_of(page: str) -> dict[str, Any]:
    """What the page was given to show."""
    packed = page.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return found


def trials_of(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Its columns as rows, a row a trial."""
    columns = {
        name: column if isinstance(column, list) else [column["values"][place] for place in column["at"]]
        for name, column in data["columns"].items()
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
