@SET NODE_PATH=C:\pnpm\node_modules;C:\pnpm\global\node_modules
@IF EXIST "%~dp0\node.exe" (
  "%~dp0\node.exe"  "%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs" %*
) ELSE (
  @SETLOCAL
  @SET PATHEXT=%PATHEXT:;.JS;=;%
  node  "%~dp0\node_modules\@moonshot-ai\kimi-code\dist\main.mjs" %*
)