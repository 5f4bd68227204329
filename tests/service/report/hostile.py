"""Names that try to be more than names."""

HOSTILE = (
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    '" onmouseover="alert(3)',
    "' onfocus='alert(4)",
    "javascript:alert(5)",
    "<img src=x onerror=alert(6)>",
    "<!-- --> ]]> <![CDATA[",
    "{{ 7 * 7 }}{% raw %}",
    "| # ` * _ [a](javascript:alert(8))",
    "EOF\nrm -rf x",
    "\u2028\u2029\x7f",
)
