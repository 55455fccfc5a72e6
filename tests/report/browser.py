"""A headless Chromium for the tests of pages; they are skipped, saying so, where there is none."""

from __future__ import annotations

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
def opened(page: Path, width: int = 1280, height: int = 900) -> Iterator[Any]:
    """The page in a browser that has no network, once it says that it is ready."""
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
        f"--window-size={width},{height}",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
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


def data_of(page: str) -> dict[str, Any]:
    """What the page was given to show."""
    text = page.split('<script id="data" type="application/json">')[1].split("</script>")[0]
    found: dict[str, Any] = json.loads(text)
    return found
