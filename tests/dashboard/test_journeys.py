def test_every_run_of_the_folder_is_listed(page, dashboard_url):
    page.goto(dashboard_url)
    page.get_by_role("link", name="planted", exact=True).wait_for()
    assert page.get_by_role("link", name="planted too").is_visible()
