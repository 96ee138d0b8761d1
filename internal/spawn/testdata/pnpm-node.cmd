@SETLOCAL
@"C:\Program Files\nodejs\node.exe"  "%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs" %*
